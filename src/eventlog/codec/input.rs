//! Compressed side of a stream: buffered bytes with their offset in the file. It tells an end between blocks from an
//! end inside one, which plain [`Read`] does not.

use std::io::{self, Read};

use super::CodecError;

/// Bytes asked from the file at a time.
const READ_BYTES: usize = 64 << 10;

/// What was there when a decoder asked for a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// All of them.
    All,
    /// None: the file ends here.
    Nothing,
    /// Some, but the file ends before the last one.
    Part,
}

/// Reads compressed bytes and counts them.
pub(super) struct Input<'a> {
    reader: Box<dyn Read + 'a>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
}

impl<'a> Input<'a> {
    pub(super) fn new(reader: Box<dyn Read + 'a>) -> Self {
        Self { reader, buffer: vec![0; READ_BYTES], start: 0, end: 0, offset: 0 }
    }

    /// Offset in the file of the next byte, in bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Looks at up to `count` (at most 64 KiB) bytes without using them; fewer only at the end of the file.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], CodecError> {
        if self.end - self.start < count {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            while self.end < count && self.refill()? > 0 {}
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + count)])
    }

    /// Replaces the content of `out` by the next `count` bytes, or by what is left of them.
    ///
    /// Grows `out` with the bytes that arrive, not with `count`, so that a corrupt length costs no memory.
    pub(super) fn read_exact(&mut self, count: usize, out: &mut Vec<u8>) -> Result<Got, CodecError> {
        out.clear();
        while out.len() < count {
            if self.read_up_to(count - out.len(), out)? == 0 {
                return Ok(if out.is_empty() { Got::Nothing } else { Got::Part });
            }
        }
        Ok(Got::All)
    }

    /// Fills an array, or says that it could not.
    pub(super) fn read_array<const N: usize>(&mut self) -> Result<(Got, [u8; N]), CodecError> {
        let head = self.peek(N)?;
        let mut array = [0; N];
        let count = head.len();
        array[..count].copy_from_slice(head);
        self.advance(count);
        let got = match count {
            _ if count == N => Got::All,
            0 => Got::Nothing,
            _ => Got::Part,
        };
        Ok((got, array))
    }

    /// Appends between one and `count` bytes to `out`; none only at the end of the file.
    pub(super) fn read_up_to(&mut self, count: usize, out: &mut Vec<u8>) -> Result<usize, CodecError> {
        let chunk = self.fill()?;
        let count = chunk.len().min(count);
        out.extend_from_slice(&chunk[..count]);
        self.advance(count);
        Ok(count)
    }

    /// Bytes at hand, at least one except at the end of the file.
    pub(super) fn fill(&mut self) -> Result<&[u8], CodecError> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.refill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Marks `count` bytes as used.
    pub(super) fn advance(&mut self, count: usize) {
        self.start += count;
        self.offset += count as u64;
    }

    fn refill(&mut self) -> Result<usize, CodecError> {
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let offset = self.offset + (self.end - self.start) as u64;
                    return Err(CodecError::Io { offset, source });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte a call, as a slow pipe does.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn tells_an_end_between_from_an_end_inside() {
        let mut input = Input::new(Box::new(Drip(b"abcdefg")));
        assert_eq!(input.peek(3).unwrap(), b"abc");
        assert_eq!(input.read_array::<4>().unwrap(), (Got::All, *b"abcd"));
        assert_eq!(input.offset(), 4);
        let mut out = Vec::new();
        assert_eq!(input.read_exact(4, &mut out).unwrap(), Got::Part);
        assert_eq!(out, b"efg");
        assert_eq!(input.read_exact(4, &mut out).unwrap(), Got::Nothing);
        assert_eq!(input.read_array::<2>().unwrap().0, Got::Nothing);
        assert_eq!(input.offset(), 7);
    }
}
