//! Lines of one log file, without copying where a line lies whole in a decoded block. A line longer than the limit is
//! an error rather than a larger buffer: the largest real ones, SQL plans, reach some tens of megabytes.

use memchr::memchr;

use super::codec::{CodecError, LogStream};

/// Longest line accepted, in bytes.
pub const LINE_BYTES_MAX: usize = 256 << 20;

/// Buffer kept between long lines, in bytes.
const KEPT_BYTES: usize = 4 << 20;

/// One line of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Counted from 1 in its file.
    pub(super) number: u64,
    /// Content without the line end.
    pub(super) bytes: &'a [u8],
    /// Ended by a line feed; false only for the last line of a file.
    pub(super) ended: bool,
}

/// Why the next line cannot be given.
#[derive(Debug)]
pub(super) enum LineError {
    /// The file cannot be decoded further.
    Codec(CodecError),
    /// The line with this number exceeds the limit.
    TooLong(u64),
}

/// Reads lines off a decoded stream. Memory: one block, plus the longest line that spans blocks.
pub(super) struct LineReader<'a> {
    stream: LogStream<'a>,
    /// Beginning of a line that started in an earlier block.
    start: Vec<u8>,
    /// Bytes of the block that belong to the line handed out last.
    used: usize,
    /// The line handed out last lies in `start`.
    start_used: bool,
    number: u64,
    limit: usize,
}

impl<'a> LineReader<'a> {
    pub(super) fn new(stream: LogStream<'a>, limit: usize) -> Self {
        Self { stream, start: Vec::new(), used: 0, start_used: false, number: 0, limit }
    }

    /// The decoded stream, for its codec and cut.
    pub(super) fn stream(&self) -> &LogStream<'a> {
        &self.stream
    }

    /// Number of the line handed out last.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<Line<'_>>, LineError> {
        self.stream.consume(std::mem::take(&mut self.used));
        if std::mem::take(&mut self.start_used) {
            self.start.clear();
            self.start.shrink_to(KEPT_BYTES);
        }
        self.number += 1;
        loop {
            let block = self.stream.fill().map_err(LineError::Codec)?;
            let end = memchr(b'\n', block);
            let length = end.unwrap_or(block.len());
            if self.start.len() + length > self.limit {
                return Err(LineError::TooLong(self.number));
            }
            let at_end = block.is_empty();
            if at_end && self.start.is_empty() {
                self.number -= 1;
                return Ok(None);
            }
            if end.is_some() && self.start.is_empty() {
                self.used = length + 1;
                let bytes = trim(&self.stream.buffered()[..length]);
                return Ok(Some(Line { number: self.number, bytes, ended: true }));
            }
            self.start.extend_from_slice(&block[..length]);
            self.stream.consume(length + usize::from(end.is_some()));
            if at_end || end.is_some() {
                self.start_used = true;
                return Ok(Some(Line { number: self.number, bytes: trim(&self.start), ended: !at_end }));
            }
        }
    }
}

/// Drops a byte order mark, a carriage return and other blanks that editors and copies leave around a line.
fn trim(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::*;

    /// Hands out `size` bytes a call, so that lines span blocks.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(self.1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn lines(text: &[u8], size: usize, limit: usize) -> Vec<Result<(u64, String, bool), u64>> {
        let stream = LogStream::open(Box::new(Pieces(text, size))).unwrap();
        let mut reader = LineReader::new(stream, limit);
        let mut lines = Vec::new();
        loop {
            match reader.next_line() {
                Ok(Some(line)) => {
                    lines.push(Ok((
                        line.number,
                        String::from_utf8(line.bytes.to_vec()).unwrap(),
                        line.ended,
                    )));
                }
                Ok(None) => return lines,
                Err(LineError::TooLong(number)) => {
                    lines.push(Err(number));
                    return lines;
                }
                Err(LineError::Codec(error)) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_arrive() {
        let text = b"{\"a\":1}\r\n\n{\"b\":22222222}\n{\"c\"";
        let expected =
            [(1, "{\"a\":1}", true), (2, "", true), (3, "{\"b\":22222222}", true), (4, "{\"c\"", false)];
        let expected: Vec<_> =
            expected.map(|(number, line, ended)| Ok((number, line.to_owned(), ended))).into();
        for size in 1..=text.len() {
            assert_eq!(lines(text, size, 100), expected, "{size} bytes at a time");
        }
    }

    #[test]
    fn a_line_beyond_the_limit_is_named() {
        let text = b"{\"a\":1}\n{\"b\":22222222}\n";
        for size in [1, 5, 100] {
            assert_eq!(lines(text, size, 14).len(), 2);
            assert_eq!(lines(text, size, 13), [Ok((1, "{\"a\":1}".to_owned(), true)), Err(2)]);
        }
    }
}
