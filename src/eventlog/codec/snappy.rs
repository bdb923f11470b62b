//! snappy-java's `SnappyOutputStream`, which Spark's `snappy` codec uses: a 16-byte header (magic and two big-endian
//! versions), then big-endian lengths each followed by raw snappy. No checksum, no end mark. Not the standard
//! snappy framing format.

use super::input::{Got, Input};
use super::{BLOCK_BYTES_MAX, BlockDecoder, Codec, CodecError, Step};

/// First bytes of a stream.
pub(super) const MAGIC: &[u8] = b"\x82SNAPPY\0";

/// Bytes of the stream header.
const HEADER_BYTES: usize = 16;

/// Decodes snappy-java streams, also several in a row.
pub(super) struct SnappyDecoder {
    packed: Vec<u8>,
    raw: snap::raw::Decoder,
}

impl SnappyDecoder {
    pub(super) fn new() -> Self {
        Self { packed: Vec::new(), raw: snap::raw::Decoder::new() }
    }
}

impl BlockDecoder for SnappyDecoder {
    fn next_block(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<Step, CodecError> {
        let offset = input.offset();
        let corrupt = |reason: String| CodecError::Corrupt { codec: Codec::Snappy, offset, reason };
        // A header may follow any block: the reader accepts concatenated streams. Its first byte cannot start a length,
        // which would be negative.
        let head = input.peek(MAGIC.len())?;
        if head == MAGIC || (offset == 0 && !head.is_empty()) {
            let (got, header) = input.read_array::<HEADER_BYTES>()?;
            if got != Got::All {
                return Ok(Step::Cut(offset));
            }
            let word =
                |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            let (version, compatible) = (word(8), word(12));
            if compatible != 1 {
                return Err(corrupt(format!(
                    "format {version} needs a reader of version {compatible}, this is 1"
                )));
            }
            return Ok(Step::More);
        }
        let (got, length) = input.read_array::<4>()?;
        match got {
            Got::Nothing => return Ok(Step::End),
            Got::Part => return Ok(Step::Cut(offset)),
            Got::All => {}
        }
        let packed_bytes = u32::from_be_bytes(length) as usize;
        if packed_bytes > BLOCK_BYTES_MAX {
            return Err(corrupt(format!(
                "block of {packed_bytes} bytes, at most {BLOCK_BYTES_MAX} are accepted"
            )));
        }
        if packed_bytes == 0 {
            return Ok(Step::More);
        }
        if input.read_exact(packed_bytes, &mut self.packed)? != Got::All {
            return Ok(Step::Cut(offset));
        }
        let plain_bytes = snap::raw::decompress_len(&self.packed)
            .map_err(|error| corrupt(format!("block does not decompress: {error}")))?;
        if plain_bytes > BLOCK_BYTES_MAX {
            return Err(corrupt(format!(
                "block of {plain_bytes} bytes, at most {BLOCK_BYTES_MAX} are accepted"
            )));
        }
        out.resize(plain_bytes, 0);
        if let Err(error) = self.raw.decompress(&self.packed, out) {
            out.clear();
            return Err(corrupt(format!("block does not decompress: {error}")));
        }
        Ok(Step::More)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::{LogStream, samples};
    use super::*;

    #[test]
    fn faults_are_named_with_their_place() {
        let text = samples::text(1_000);
        let cases: [(usize, u8, &str); 3] = [
            (15, 9, "corrupt snappy data at byte 0: format 1 needs a reader of version 9, this is 1"),
            (16, 0x7f, "corrupt snappy data at byte 16: block of 2130706"),
            (22, 0xff, "corrupt snappy data at byte 16: block does not decompress: "),
        ];
        for (at, value, message) in cases {
            let mut encoded = samples::encode_in_blocks_of(Codec::Snappy, &text, 600);
            encoded[at] = value;
            let mut stream = LogStream::open(Box::new(&encoded[..])).unwrap();
            let error = stream.read_to_end(&mut Vec::new()).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
