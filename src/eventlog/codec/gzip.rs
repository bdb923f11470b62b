//! gzip members (RFC 1952), possibly several: logs that people compressed by hand.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::input::{Got, Input};
use super::{BlockDecoder, Codec, CodecError, Step};

/// First bytes of a member: the identification and the only method there is, deflate.
pub(super) const MAGIC: &[u8] = b"\x1f\x8b\x08";

/// Plain bytes made at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Header flags.
const FLAG_HEADER_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;

/// Decodes gzip members.
pub(super) struct GzipDecoder {
    inflate: Decompress,
    check: Crc,
    /// Offset of the member being decoded.
    member: Option<u64>,
    piece: Vec<u8>,
}

impl GzipDecoder {
    pub(super) fn new() -> Self {
        Self { inflate: Decompress::new(false), check: Crc::new(), member: None, piece: Vec::new() }
    }

    /// Reads a member's header; `false` when the file ends inside it.
    fn read_header(&mut self, input: &mut Input<'_>, head: [u8; 10]) -> Result<bool, CodecError> {
        let flags = head[3];
        if flags & FLAG_EXTRA != 0 {
            let (got, length) = input.read_array::<2>()?;
            let length = usize::from(u16::from_le_bytes(length));
            if got != Got::All || (length > 0 && input.read_exact(length, &mut self.piece)? != Got::All) {
                return Ok(false);
            }
        }
        for flag in [FLAG_NAME, FLAG_COMMENT] {
            if flags & flag == 0 {
                continue;
            }
            loop {
                let (got, [byte]) = input.read_array::<1>()?;
                if got != Got::All {
                    return Ok(false);
                }
                if byte == 0 {
                    break;
                }
            }
        }
        if flags & FLAG_HEADER_CRC != 0 && input.read_array::<2>()?.0 != Got::All {
            return Ok(false);
        }
        Ok(true)
    }

    fn start_member(&mut self, input: &mut Input<'_>) -> Result<Step, CodecError> {
        let offset = input.offset();
        let (got, head) = input.read_array::<10>()?;
        match got {
            Got::Nothing => return Ok(Step::End),
            Got::Part => return Ok(Step::Cut(offset)),
            Got::All => {}
        }
        if &head[..3] != MAGIC {
            let [a, b, c, ..] = head;
            return Err(corrupt(offset, format!("a member starts with bytes {a:02x} {b:02x} {c:02x}")));
        }
        if !self.read_header(input, head)? {
            return Ok(Step::Cut(offset));
        }
        self.inflate.reset(false);
        self.check.reset();
        self.member = Some(offset);
        Ok(Step::More)
    }

    /// Checks a member's last eight bytes.
    fn end_member(&mut self, input: &mut Input<'_>, member: u64) -> Result<Step, CodecError> {
        let (got, tail) = input.read_array::<8>()?;
        if got != Got::All {
            return Ok(Step::Cut(member));
        }
        let check = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
        let length = u32::from_le_bytes([tail[4], tail[5], tail[6], tail[7]]);
        let (found, amount) = (self.check.sum(), self.check.amount());
        if (check, length) != (found, amount) {
            return Err(corrupt(
                member,
                format!(
                    "{amount} bytes with checksum {found:#010x}, the member says {length} with {check:#010x}"
                ),
            ));
        }
        self.member = None;
        Ok(Step::More)
    }
}

impl BlockDecoder for GzipDecoder {
    fn next_block(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<Step, CodecError> {
        let Some(member) = self.member else { return self.start_member(input) };
        let offset = input.offset();
        out.resize(CHUNK_BYTES, 0);
        let (in_before, out_before) = (self.inflate.total_in(), self.inflate.total_out());
        let packed = input.fill()?;
        let at_end = packed.is_empty();
        let status = self.inflate.decompress(packed, out, FlushDecompress::None);
        let used = (self.inflate.total_in() - in_before) as usize;
        let made = (self.inflate.total_out() - out_before) as usize;
        input.advance(used);
        out.truncate(made);
        self.check.update(out);
        match status {
            Err(error) => Err(corrupt(offset, format!("member does not decompress: {error}"))),
            Ok(Status::StreamEnd) => self.end_member(input, member),
            Ok(Status::Ok | Status::BufError) if used == 0 && made == 0 => {
                if at_end {
                    Ok(Step::Cut(member))
                } else {
                    Err(corrupt(offset, "member does not decompress: no progress".to_owned()))
                }
            }
            Ok(Status::Ok | Status::BufError) => Ok(Step::More),
        }
    }
}

fn corrupt(offset: u64, reason: String) -> CodecError {
    CodecError::Corrupt { codec: Codec::Gzip, offset, reason }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::super::{LogStream, samples};
    use super::*;

    #[test]
    fn optional_header_fields_are_read_over() {
        let text = samples::text(1_000);
        let builder = flate2::GzBuilder::new().filename("app-1").comment("kept").extra(b"extra".as_slice());
        let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        let encoded = encoder.finish().unwrap();
        let mut plain = Vec::new();
        LogStream::open(Box::new(&encoded[..])).unwrap().read_to_end(&mut plain).unwrap();
        assert!(plain == text);
    }

    #[test]
    fn wrong_checksum_names_the_member() {
        let mut encoded = samples::encode(Codec::Gzip, &samples::text(1_000));
        let check = encoded.len() - 8;
        encoded[check] ^= 1;
        let mut stream = LogStream::open(Box::new(&encoded[..])).unwrap();
        let error = stream.read_to_end(&mut Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with("corrupt gzip data at byte 0: 1000 bytes with checksum 0x"), "{error}");
    }
}
