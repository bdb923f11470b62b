//! lz4-java's `LZ4BlockOutputStream`, which Spark's `lz4` codec uses: a 21-byte header a block (magic, token,
//! compressed length, plain length, checksum; lengths little-endian), and an empty block as end mark. Not the
//! standard LZ4 frame format.

use twox_hash::XxHash32;

use super::input::{Got, Input};
use super::{BLOCK_BYTES_MAX, BlockDecoder, Codec, CodecError, Step};

/// First bytes of every block.
pub(super) const MAGIC: &[u8] = b"LZ4Block";

/// Bytes of a block header.
const HEADER_BYTES: usize = 21;
/// Token bits of a block stored as is.
const METHOD_RAW: u8 = 0x10;
/// Token bits of an LZ4-compressed block.
const METHOD_LZ4: u8 = 0x20;
/// Seed of the checksum, `LZ4BlockOutputStream.DEFAULT_SEED`.
const CHECK_SEED: u32 = 0x9747_b28c;
/// lz4-java's `Checksum` view of xxHash32 keeps the lower 28 bits.
const CHECK_MASK: u32 = 0x0fff_ffff;

/// Decodes `LZ4Block` streams, also several in a row.
pub(super) struct Lz4BlockDecoder {
    packed: Vec<u8>,
    ended: bool,
}

impl Lz4BlockDecoder {
    pub(super) fn new() -> Self {
        Self { packed: Vec::new(), ended: false }
    }
}

impl BlockDecoder for Lz4BlockDecoder {
    fn next_block(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<Step, CodecError> {
        let offset = input.offset();
        let corrupt = |reason: String| CodecError::Corrupt { codec: Codec::Lz4, offset, reason };
        let (got, header) = input.read_array::<HEADER_BYTES>()?;
        match got {
            Got::Nothing if self.ended => return Ok(Step::End),
            Got::Nothing | Got::Part => return Ok(Step::Cut(offset)),
            Got::All => self.ended = false,
        }
        if &header[..8] != MAGIC {
            return Err(corrupt("a block does not start with \"LZ4Block\"".to_owned()));
        }
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let token = header[8];
        let (packed_bytes, plain_bytes, check) = (word(9) as usize, word(13) as usize, word(17));
        if packed_bytes == 0 && plain_bytes == 0 {
            self.ended = true;
            return Ok(Step::More);
        }
        let method = token & 0xf0;
        if method != METHOD_RAW && method != METHOD_LZ4 {
            return Err(corrupt(format!("token {token:#04x} names no method, 0x1_ and 0x2_ are valid")));
        }
        if plain_bytes > BLOCK_BYTES_MAX || packed_bytes > BLOCK_BYTES_MAX {
            let size = plain_bytes.max(packed_bytes);
            return Err(corrupt(format!("block of {size} bytes, at most {BLOCK_BYTES_MAX} are accepted")));
        }
        if method == METHOD_RAW && packed_bytes != plain_bytes {
            return Err(corrupt(format!("raw block of {packed_bytes} bytes says it holds {plain_bytes}")));
        }
        if input.read_exact(packed_bytes, &mut self.packed)? != Got::All {
            return Ok(Step::Cut(offset));
        }
        if method == METHOD_RAW {
            out.extend_from_slice(&self.packed);
        } else {
            out.resize(plain_bytes, 0);
            let count = lz4_flex::block::decompress_into(&self.packed, out)
                .map_err(|error| corrupt(format!("block does not decompress: {error}")))?;
            if count != plain_bytes {
                return Err(corrupt(format!("block gives {count} bytes, its header says {plain_bytes}")));
            }
        }
        let found = checksum(out);
        if found != check {
            out.clear();
            return Err(corrupt(format!("checksum is {found:#010x}, the header says {check:#010x}")));
        }
        Ok(Step::More)
    }
}

/// Checksum of a block's plain bytes.
pub(super) fn checksum(plain: &[u8]) -> u32 {
    XxHash32::oneshot(CHECK_SEED, plain) & CHECK_MASK
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::{LogStream, samples};
    use super::*;

    fn error_of(encoded: &[u8]) -> String {
        let mut plain = Vec::new();
        let mut stream = LogStream::open(Box::new(encoded)).unwrap();
        stream.read_to_end(&mut plain).unwrap_err().to_string()
    }

    #[test]
    fn faults_are_named_with_their_place() {
        let text = samples::text(1_000);
        let encoded = samples::encode_in_blocks_of(Codec::Lz4, &text, 600);
        let second = encoded.len() - HEADER_BYTES - {
            let tail = samples::encode_in_blocks_of(Codec::Lz4, &text[600..], 600);
            tail.len() - HEADER_BYTES
        };

        let mut check = encoded.clone();
        check[second + 17] ^= 1;
        assert!(error_of(&check).starts_with(&format!("corrupt lz4 data at byte {second}: checksum is 0x")));

        let mut token = encoded.clone();
        token[second + 8] = 0x35;
        assert_eq!(
            error_of(&token),
            format!("corrupt lz4 data at byte {second}: token 0x35 names no method, 0x1_ and 0x2_ are valid")
        );

        let mut length = encoded;
        length[second + 16] = 0x7f;
        assert!(error_of(&length).contains("at most 67108864 are accepted"), "{}", error_of(&length));
    }
}
