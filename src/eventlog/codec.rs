//! Compression envelopes of event log files, LOG-4: recognised by their first bytes (the name only confirms) and
//! decoded as a stream, one block at a time, so that memory does not grow with the file.
//!
//! A stream that stops too early is normal for a log whose application is still running or was killed: everything
//! decoded up to the cut is handed out, then the stream ends and [`LogStream::cut`] says where. A stream whose bytes
//! contradict themselves (wrong checksum, impossible header) is an error, [`CodecError`]. Left out: writing, and
//! zstd dictionaries, which Spark does not use.

mod gzip;
mod input;
mod lz4block;
mod lzf;
#[cfg(test)]
mod samples;
mod snappy;
mod zstd;

use std::fmt;
use std::io::{self, Read};

use input::Input;

/// Largest block, compressed or not, that a block codec may announce, in bytes. Spark's default block is 32 KiB
/// (`spark.io.compression.*.blockSize`), 64 MiB is far above any setting in use and keeps a corrupt length harmless.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// Bytes read from a plain file at a time.
const PLAIN_CHUNK_BYTES: usize = 64 << 10;

/// Number of leading bytes looked at to recognise a codec.
const HEAD_BYTES: usize = 16;

/// Names a compression envelope by the short name Spark gives it (`spark.eventLog.compression.codec`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// No compression: JSON lines.
    Plain,
    /// gzip; Spark does not write it, people who archive logs do.
    Gzip,
    /// Standard zstd frames; Spark's default since 3.2.
    Zstd,
    /// lz4-java's `LZ4Block` stream, not the standard LZ4 frame.
    Lz4,
    /// snappy-java's stream, not the standard framing format.
    Snappy,
    /// Chunked LZF as the compress-lzf library writes it.
    Lzf,
}

impl Codec {
    /// All codecs, plain first.
    pub const ALL: [Self; 6] = [Self::Plain, Self::Gzip, Self::Zstd, Self::Lz4, Self::Snappy, Self::Lzf];

    /// Short name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
            Self::Lzf => "lzf",
        }
    }

    /// First bytes of a stream; empty for plain text.
    fn magic(self) -> &'static [u8] {
        match self {
            Self::Plain => b"",
            Self::Gzip => gzip::MAGIC,
            Self::Zstd => zstd::MAGIC,
            Self::Lz4 => lz4block::MAGIC,
            Self::Snappy => snappy::MAGIC,
            Self::Lzf => lzf::MAGIC,
        }
    }

    /// Reads the codec off a file name's ending, LOG-2 and LOG-3; `None` when the name promises no compression.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".inprogress").unwrap_or(name);
        let name = name.strip_suffix(".compact").unwrap_or(name);
        let (_, suffix) = name.rsplit_once('.')?;
        match suffix.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Some(Self::Gzip),
            "zstd" | "zst" => Some(Self::Zstd),
            "lz4" => Some(Self::Lz4),
            "snappy" => Some(Self::Snappy),
            "lzf" => Some(Self::Lzf),
            _ => None,
        }
    }

    /// Recognises the codec by a stream's first bytes; `None` when they belong to nothing known.
    ///
    /// A head shorter than a codec's magic counts when it is a beginning of it, so that a file cut in its first bytes
    /// is reported as cut. Such a head cannot be JSON text: no magic starts with `{`.
    pub fn from_head(head: &[u8]) -> Option<Self> {
        let compressed = Self::ALL.into_iter().filter(|codec| *codec != Self::Plain);
        for codec in compressed {
            let magic = codec.magic();
            let shared = magic.len().min(head.len());
            if shared > 0 && head[..shared] == magic[..shared] {
                return Some(codec);
            }
        }
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        (text.is_empty() || text[0] == b'{').then_some(Self::Plain)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Says why a stream cannot be decoded. Offsets count bytes of the compressed file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Reading the file failed.
    #[error("cannot read at byte {offset}: {source}")]
    Io {
        /// Bytes read before.
        offset: u64,
        /// What the operating system said.
        source: io::Error,
    },
    /// The bytes contradict the codec's format.
    #[error("corrupt {codec} data at byte {offset}: {reason}")]
    Corrupt {
        /// The codec whose rule is broken.
        codec: Codec,
        /// Start of the frame, block or chunk at fault.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The first bytes belong to no known codec and are not JSON text.
    #[error(
        "neither JSON text nor a known compression (gzip, zstd, lz4, snappy, lzf): starts with bytes {head}"
    )]
    Unknown {
        /// The first bytes in hexadecimal.
        head: String,
    },
}

/// Place where a stream stops too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The codec that expected more.
    pub codec: Codec,
    /// Offset in the compressed file of the frame, block or chunk that is incomplete, in bytes.
    pub offset: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} data ends inside the block at byte {}", self.codec, self.offset)
    }
}

/// What a block decoder found.
enum Step {
    /// Decoded bytes were appended (possibly none); there may be more.
    More,
    /// The stream ended where it may end.
    End,
    /// The stream ended inside the block that starts at this offset.
    Cut(u64),
}

/// Decodes one envelope, block by block.
trait BlockDecoder {
    /// Appends the next block's plain bytes to `out`.
    fn next_block(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<Step, CodecError>;
}

/// Plain text passes through.
struct PlainDecoder;

impl BlockDecoder for PlainDecoder {
    fn next_block(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<Step, CodecError> {
        let read = input.read_up_to(PLAIN_CHUNK_BYTES, out)?;
        Ok(if read == 0 { Step::End } else { Step::More })
    }
}

/// Decoded bytes of one event log file.
///
/// Use [`fill`](Self::fill) and [`consume`](Self::consume) (no copy), or [`Read`]. Memory: one decoded block, plus
/// zstd's window.
pub struct LogStream<'a> {
    codec: Codec,
    decoder: Box<dyn BlockDecoder>,
    input: Input<'a>,
    plain: Vec<u8>,
    consumed: usize,
    ended: bool,
    cut: Option<Cut>,
}

impl<'a> LogStream<'a> {
    /// Opens a stream and recognises its codec by the first bytes.
    ///
    /// # Errors
    ///
    /// When reading fails or the first bytes belong to no known codec.
    pub fn open(reader: Box<dyn Read + 'a>) -> Result<Self, CodecError> {
        let mut input = Input::new(reader);
        let head = input.peek(HEAD_BYTES)?;
        let Some(codec) = Codec::from_head(head) else {
            let head: Vec<String> = head.iter().map(|byte| format!("{byte:02x}")).collect();
            return Err(CodecError::Unknown { head: head.join(" ") });
        };
        let decoder: Box<dyn BlockDecoder> = match codec {
            Codec::Plain => Box::new(PlainDecoder),
            Codec::Gzip => Box::new(gzip::GzipDecoder::new()),
            Codec::Zstd => Box::new(zstd::ZstdDecoder::new()),
            Codec::Lz4 => Box::new(lz4block::Lz4BlockDecoder::new()),
            Codec::Snappy => Box::new(snappy::SnappyDecoder::new()),
            Codec::Lzf => Box::new(lzf::LzfDecoder::new()),
        };
        Ok(Self { codec, decoder, input, plain: Vec::new(), consumed: 0, ended: false, cut: None })
    }

    /// The codec recognised by [`open`](Self::open).
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Where the compressed data stops too early, known once the stream has ended.
    pub fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// Compressed bytes read so far.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// Decodes until at least one byte is at hand and returns what is there; empty at the end of the stream.
    ///
    /// # Errors
    ///
    /// When reading fails or the data is corrupt. Bytes decoded before the fault have been handed out by then.
    pub fn fill(&mut self) -> Result<&[u8], CodecError> {
        while self.consumed == self.plain.len() && !self.ended {
            self.plain.clear();
            self.consumed = 0;
            match self.decoder.next_block(&mut self.input, &mut self.plain) {
                Ok(Step::More) => {}
                Ok(Step::End) => self.ended = true,
                Ok(Step::Cut(offset)) => {
                    self.ended = true;
                    self.cut = Some(Cut { codec: self.codec, offset });
                }
                Err(error) => {
                    self.ended = true;
                    return Err(error);
                }
            }
        }
        Ok(self.buffered())
    }

    /// Bytes decoded and not yet consumed.
    pub fn buffered(&self) -> &[u8] {
        &self.plain[self.consumed..]
    }

    /// Marks `bytes` of what [`fill`](Self::fill) returned as used.
    ///
    /// # Panics
    ///
    /// When there are fewer.
    pub fn consume(&mut self, bytes: usize) {
        assert!(bytes <= self.plain.len() - self.consumed, "consumed {bytes} bytes that were not there");
        self.consumed += bytes;
    }
}

impl Read for LogStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.fill().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let count = chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&chunk[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes all of `bytes`: plain text before the end or the fault, then how it ended.
    fn decode(bytes: &[u8]) -> (Vec<u8>, Result<Option<Cut>, CodecError>) {
        let mut out = Vec::new();
        let mut stream = match LogStream::open(Box::new(bytes)) {
            Ok(stream) => stream,
            Err(error) => return (out, Err(error)),
        };
        loop {
            match stream.fill() {
                Ok([]) => return (out, Ok(stream.cut())),
                Ok(chunk) => {
                    out.extend_from_slice(chunk);
                    let count = chunk.len();
                    stream.consume(count);
                }
                Err(error) => return (out, Err(error)),
            }
        }
    }

    #[test]
    fn every_codec_gives_its_text_back() {
        let text = samples::text(70_000);
        for codec in Codec::ALL {
            let encoded = samples::encode(codec, &text);
            assert_eq!(Codec::from_head(&encoded[..HEAD_BYTES]), Some(codec));
            let (plain, end) = decode(&encoded);
            assert!(plain == text, "{codec}: {} of {} bytes", plain.len(), text.len());
            assert_eq!(end.unwrap(), None, "{codec}");
        }
    }

    #[test]
    fn concatenated_streams_are_one_log() {
        let (first, second) = (samples::text(40_000), samples::text(1_000));
        for codec in Codec::ALL {
            let mut encoded = samples::encode(codec, &first);
            encoded.extend(samples::encode(codec, &second));
            let (plain, end) = decode(&encoded);
            assert!(plain == [&first[..], &second[..]].concat(), "{codec}");
            assert_eq!(end.unwrap(), None, "{codec}");
        }
    }

    #[test]
    fn empty_file_is_an_empty_plain_log() {
        assert!(matches!(decode(b""), (plain, Ok(None)) if plain.is_empty()));
    }

    #[test]
    fn empty_text_survives_every_codec() {
        for codec in [Codec::Gzip, Codec::Zstd, Codec::Lz4, Codec::Snappy] {
            let (plain, end) = decode(&samples::encode(codec, b""));
            assert!(plain.is_empty() && end.unwrap().is_none(), "{codec}");
        }
    }

    /// A cut loses only what was not complete: what comes out is a prefix that grows with the file, and only whole
    /// blocks' ends (of formats without an end mark) or the true end pass as complete.
    #[test]
    fn cut_at_every_byte_gives_a_prefix_and_says_so() {
        let text = samples::text(3_000);
        for codec in [Codec::Gzip, Codec::Zstd, Codec::Lz4, Codec::Snappy, Codec::Lzf] {
            let encoded = samples::encode_in_blocks_of(codec, &text, 500);
            let mut last = 0;
            for length in 1..encoded.len() {
                let (plain, end) = decode(&encoded[..length]);
                assert!(text.starts_with(&plain), "{codec} cut at {length}");
                assert!(plain.len() >= last, "{codec} cut at {length} lost text");
                last = plain.len();
                match end.unwrap() {
                    Some(cut) => {
                        assert_eq!(cut.codec, codec);
                        assert!(cut.offset <= length as u64, "{codec} cut at {length}: {cut}");
                    }
                    None => {
                        assert!(
                            matches!(codec, Codec::Snappy | Codec::Lzf),
                            "{codec} cut at {length} unseen"
                        );
                        assert_eq!(plain.len() % 500, 0, "{codec} cut at {length} unseen");
                    }
                }
            }
            assert!(last >= text.len() - 500, "{codec}: only {last} bytes before the last cut");
        }
    }

    /// Flipped bits may pass unseen where a format has no checksum (snappy, LZF, raw zstd blocks), but never panic,
    /// hang or grow beyond the block limits.
    #[test]
    fn flipped_bytes_never_panic() {
        let text = samples::text(2_000);
        for codec in Codec::ALL {
            let mut errors = 0;
            for encoded in [samples::encode(codec, &text), samples::encode_in_blocks_of(codec, &text, 400)] {
                for position in 0..encoded.len() {
                    for mask in [0x01, 0x80, 0xff] {
                        let mut broken = encoded.clone();
                        broken[position] ^= mask;
                        let (plain, end) = decode(&broken);
                        assert!(plain.len() < 10 << 20, "{codec} byte {position} ^ {mask:#x} blew up");
                        errors += usize::from(end.is_err());
                    }
                }
            }
            if codec != Codec::Plain {
                assert!(errors > 10, "{codec}: only {errors} faults seen");
            }
        }
    }

    #[test]
    fn names_tell_codecs() {
        let cases = [
            ("local-1", None),
            ("app-1.zstd", Some(Codec::Zstd)),
            ("app-1.zstd.inprogress", Some(Codec::Zstd)),
            ("events_12_app-1.lz4.compact", Some(Codec::Lz4)),
            ("app-1.snappy", Some(Codec::Snappy)),
            ("app-1.lzf", Some(Codec::Lzf)),
            ("app-1.json.gz", Some(Codec::Gzip)),
            ("app-1.inprogress", None),
        ];
        for (name, codec) in cases {
            assert_eq!(Codec::from_name(name), codec, "{name}");
        }
    }

    #[test]
    fn unknown_bytes_are_quoted() {
        let error = decode(b"PK\x03\x04rest").1.unwrap_err();
        assert_eq!(
            error.to_string(),
            "neither JSON text nor a known compression (gzip, zstd, lz4, snappy, lzf): starts with bytes \
             50 4b 03 04 72 65 73 74"
        );
    }
}
