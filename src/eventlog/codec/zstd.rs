//! zstd frames (RFC 8878), possibly several, skippable ones included. The frame's outline (header, block headers,
//! checksum) is read here and each whole block is given to `ruzstd`: so a file that stops inside a block is known to
//! be cut rather than corrupt, and every block before the cut comes out.

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::Read;

use super::input::{Got, Input};
use super::{BlockDecoder, Codec, CodecError, Step};

/// First bytes of a frame.
pub(super) const MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// First bytes of a skippable frame, the lower half byte of the first is free.
const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// A last block that holds nothing: ends a cut frame, so that the decoder gives up its window.
const EMPTY_LAST_BLOCK: [u8; 3] = [1, 0, 0];

/// Largest window accepted, in bytes; zstd's own command line stops there too unless told otherwise.
const WINDOW_BYTES_MAX: u64 = 128 << 20;

/// Decodes zstd frames.
pub(super) struct ZstdDecoder {
    frames: FrameDecoder,
    /// Inside a frame: its offset, and whether it ends with a checksum.
    frame: Option<(u64, bool)>,
    packed: Vec<u8>,
    piece: Vec<u8>,
}

impl ZstdDecoder {
    pub(super) fn new() -> Self {
        let mut frames = FrameDecoder::new();
        frames.set_max_window_size(WINDOW_BYTES_MAX);
        Self { frames, frame: None, packed: Vec::new(), piece: Vec::new() }
    }

    /// Reads a frame header into the decoder.
    fn start_frame(&mut self, input: &mut Input<'_>) -> Result<Step, CodecError> {
        let offset = input.offset();
        let (got, magic) = input.read_array::<4>()?;
        match got {
            Got::Nothing => return Ok(Step::End),
            Got::Part => return Ok(Step::Cut(offset)),
            Got::All => {}
        }
        if magic[0] & 0xf0 == SKIPPABLE[0] && magic[1..] == SKIPPABLE[1..] {
            return self.skip_frame(input, offset);
        }
        if magic != MAGIC {
            let [a, b, c, d] = magic;
            return Err(corrupt(
                offset,
                format!("a frame starts with bytes {a:02x} {b:02x} {c:02x} {d:02x}"),
            ));
        }
        let (got, [descriptor]) = input.read_array::<1>()?;
        if got != Got::All {
            return Ok(Step::Cut(offset));
        }
        if input.read_exact(header_rest_bytes(descriptor), &mut self.piece)? != Got::All
            && header_rest_bytes(descriptor) > 0
        {
            return Ok(Step::Cut(offset));
        }
        self.packed.clear();
        self.packed.extend_from_slice(MAGIC);
        self.packed.push(descriptor);
        self.packed.extend_from_slice(&self.piece);
        self.frames.reset(&self.packed[..]).map_err(|error| corrupt(offset, reason(&error)))?;
        self.frame = Some((offset, descriptor & 4 != 0));
        Ok(Step::More)
    }

    /// Skips a frame that holds no data.
    fn skip_frame(&mut self, input: &mut Input<'_>, offset: u64) -> Result<Step, CodecError> {
        let (got, length) = input.read_array::<4>()?;
        if got != Got::All {
            return Ok(Step::Cut(offset));
        }
        let mut left = u32::from_le_bytes(length) as usize;
        while left > 0 {
            self.piece.clear();
            let count = input.read_up_to(left, &mut self.piece)?;
            if count == 0 {
                return Ok(Step::Cut(offset));
            }
            left -= count;
        }
        Ok(Step::More)
    }

    /// Reads one whole block into `packed`; `None` when the file ends before the block does.
    fn read_block(&mut self, input: &mut Input<'_>, checksummed: bool) -> Result<Option<bool>, CodecError> {
        let (got, header) = input.read_array::<3>()?;
        if got != Got::All {
            return Ok(None);
        }
        let word = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let last = word & 1 == 1;
        let body_bytes = match (word >> 1) & 3 {
            1 => 1, // run of one byte
            _ => (word >> 3) as usize,
        };
        self.packed.clear();
        self.packed.extend_from_slice(&header);
        let check_bytes = if last && checksummed { 4 } else { 0 };
        let want = body_bytes + check_bytes;
        if want > 0 && input.read_exact(want, &mut self.piece)? != Got::All {
            return Ok(None);
        }
        self.packed.extend_from_slice(&self.piece[..want]);
        Ok(Some(last))
    }

    /// Takes decoded bytes out of the decoder.
    fn drain(&mut self, out: &mut Vec<u8>) {
        let ready = self.frames.can_collect();
        let from = out.len();
        out.resize(from + ready, 0);
        // The decoder copies from its own ring buffer: it cannot fail and cannot come short.
        self.frames.read_exact(&mut out[from..]).expect("bytes announced by can_collect");
    }
}

impl BlockDecoder for ZstdDecoder {
    fn next_block(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<Step, CodecError> {
        let Some((frame_offset, checksummed)) = self.frame else { return self.start_frame(input) };
        let offset = input.offset();
        let Some(last) = self.read_block(input, checksummed)? else {
            self.packed.clear();
            self.packed.extend_from_slice(&EMPTY_LAST_BLOCK);
            self.packed.extend_from_slice(&[0; 4]);
            self.frames
                .decode_blocks(&self.packed[..], BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|error| corrupt(offset, reason(&error)))?;
            self.drain(out);
            self.frame = None;
            return Ok(Step::Cut(offset));
        };
        self.frames
            .decode_blocks(&self.packed[..], BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|error| corrupt(offset, reason(&error)))?;
        self.drain(out);
        if last {
            self.frame = None;
            if checksummed && self.frames.get_checksum_from_data() != self.frames.get_calculated_checksum() {
                return Err(corrupt(frame_offset, "checksum of the frame does not match".to_owned()));
            }
        }
        Ok(Step::More)
    }
}

/// Bytes of a frame header after its descriptor: window, dictionary id, content size.
fn header_rest_bytes(descriptor: u8) -> usize {
    let single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!single_segment);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(single_segment),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    window + dictionary + content_size
}

fn corrupt(offset: u64, reason: String) -> CodecError {
    CodecError::Corrupt { codec: Codec::Zstd, offset, reason }
}

fn reason(error: &FrameDecoderError) -> String {
    error.to_string().replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::{LogStream, samples};
    use super::*;

    fn decode(encoded: &[u8]) -> (Vec<u8>, Result<usize, std::io::Error>) {
        let mut plain = Vec::new();
        let mut stream = LogStream::open(Box::new(encoded)).unwrap();
        let end = stream.read_to_end(&mut plain);
        (plain, end)
    }

    #[test]
    fn skippable_frames_are_skipped() {
        let text = samples::text(1_000);
        let mut encoded = samples::encode(Codec::Zstd, &text);
        encoded.extend([0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        encoded.extend(samples::encode(Codec::Zstd, &text));
        let (plain, end) = decode(&encoded);
        assert_eq!(end.unwrap(), 2_000);
        assert!(plain == [&text[..], &text[..]].concat());
    }

    #[test]
    fn wrong_checksum_names_the_frame() {
        let text = samples::text(1_000);
        let mut encoded = samples::encode(Codec::Zstd, &text);
        let second = encoded.len();
        encoded.extend(samples::encode(Codec::Zstd, &text));
        *encoded.last_mut().unwrap() ^= 1;
        let error = decode(&encoded).1.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("corrupt zstd data at byte {second}: checksum of the frame does not match")
        );
    }

    #[test]
    fn bytes_after_the_last_frame_are_corrupt() {
        let text = samples::text(1_000);
        let mut encoded = samples::encode(Codec::Zstd, &text);
        let end = encoded.len();
        encoded.extend(b"tail");
        let (plain, error) = decode(&encoded);
        assert!(plain == text);
        let error = error.unwrap_err().to_string();
        assert_eq!(error, format!("corrupt zstd data at byte {end}: a frame starts with bytes 74 61 69 6c"));
    }
}
