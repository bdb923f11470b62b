//! Chunked LZF as the compress-lzf library writes it, which Spark's `lzf` codec uses: `ZV`, a type byte, big-endian
//! 16-bit lengths. No checksum, no end mark.

use super::input::{Got, Input};
use super::{BlockDecoder, Codec, CodecError, Step};

/// First bytes of every chunk.
pub(super) const MAGIC: &[u8] = b"ZV";

/// Chunk stored as is: one length follows.
const TYPE_RAW: u8 = 0;
/// Compressed chunk: compressed length, then plain length.
const TYPE_PACKED: u8 = 1;

/// Decodes LZF chunks.
pub(super) struct LzfDecoder {
    packed: Vec<u8>,
}

impl LzfDecoder {
    pub(super) fn new() -> Self {
        Self { packed: Vec::new() }
    }
}

impl BlockDecoder for LzfDecoder {
    fn next_block(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<Step, CodecError> {
        let offset = input.offset();
        let corrupt = |reason: String| CodecError::Corrupt { codec: Codec::Lzf, offset, reason };
        let (got, header) = input.read_array::<5>()?;
        match got {
            Got::Nothing => return Ok(Step::End),
            Got::Part => return Ok(Step::Cut(offset)),
            Got::All => {}
        }
        if &header[..2] != MAGIC {
            return Err(corrupt("a chunk does not start with \"ZV\"".to_owned()));
        }
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        match header[2] {
            TYPE_RAW => {
                if input.read_exact(length, out)? != Got::All {
                    out.clear();
                    return Ok(Step::Cut(offset));
                }
            }
            TYPE_PACKED => {
                let (got, plain) = input.read_array::<2>()?;
                if got != Got::All || input.read_exact(length, &mut self.packed)? != Got::All {
                    return Ok(Step::Cut(offset));
                }
                let plain_bytes = usize::from(u16::from_be_bytes(plain));
                let plain = ::lzf::decompress(&self.packed, plain_bytes)
                    .map_err(|error| corrupt(format!("chunk does not decompress: {error}")))?;
                if plain.len() != plain_bytes {
                    let count = plain.len();
                    return Err(corrupt(format!("chunk gives {count} bytes, its header says {plain_bytes}")));
                }
                out.extend_from_slice(&plain);
            }
            other => {
                return Err(corrupt(format!("chunk type {other}, 0 (raw) and 1 (compressed) are valid")));
            }
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
        let encoded = samples::encode_in_blocks_of(Codec::Lzf, &text, 600);
        let second = 7 + usize::from(u16::from_be_bytes([encoded[3], encoded[4]]));
        let cases = [
            (second, b'Y', "a chunk does not start with \"ZV\""),
            (second + 2, 7, "chunk type 7, 0 (raw) and 1 (compressed) are valid"),
            (
                second + 5,
                0,
                "chunk does not decompress: the given buffer is too small to handle the uncompressed data",
            ),
        ];
        for (at, value, reason) in cases {
            let mut broken = encoded.clone();
            broken[at] = value;
            let mut plain = Vec::new();
            let mut stream = LogStream::open(Box::new(&broken[..])).unwrap();
            let error = stream.read_to_end(&mut plain).unwrap_err().to_string();
            assert_eq!(error, format!("corrupt lzf data at byte {second}: {reason}"));
            assert!(plain == text[..600], "the first chunk is lost");
        }
    }
}
