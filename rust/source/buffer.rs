//! Memory for bytes that are read: where they go in, and where they can be looked at.

use std::io;
use std::ops::Deref;

/// Reads go to multiples of this: a system may copy several times slower to other places (Linux on recent x86-64 does).
const ALIGNMENT: usize = 64;

/// Bytes in memory that can be used again without being cleared.
#[derive(Default)]
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// Begins anew with `kept`, and with room for so many bytes behind it. What is read next is aligned.
    pub fn begin(&mut self, kept: &[u8], room: usize) {
        let before = kept.len().next_multiple_of(ALIGNMENT);
        if self.memory.len() < before + room + ALIGNMENT {
            self.memory = vec![0; before + room + ALIGNMENT];
        }
        // Only a wrong answer here would be slow, none would be wrong.
        let first = self.memory.as_ptr().align_offset(ALIGNMENT);
        self.end = if first < ALIGNMENT { first } else { 0 } + before;
        self.start = self.end - kept.len();
        self.memory[self.start..self.end].copy_from_slice(kept);
    }

    /// Makes room for so many bytes more.
    pub fn grow(&mut self, room: usize) {
        if self.memory.len() - self.end < room {
            let mut larger = Self::default();
            larger.begin(self, room.max(self.len()));
            *self = larger;
        }
    }

    /// The first `size` bytes of the room behind what is filled.
    pub fn room(&mut self, size: usize) -> &mut [u8] {
        &mut self.memory[self.end..self.end + size]
    }

    /// Takes note that so many bytes of the room are filled.
    pub fn fill(&mut self, length: usize) {
        self.end = (self.end + length).min(self.memory.len());
    }

    /// Reads into the first `size` bytes of the room by a call of `read`, or by more if signals interrupt it; gives how
    /// many came.
    ///
    /// # Errors
    ///
    /// Those of `read`, but never `Interrupted`.
    pub fn read(&mut self, size: usize, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match read(self.room(size)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.inspect(|&length| self.fill(length)),
            }
        }
    }

    /// Has it any memory, for whatever bytes?
    #[must_use]
    pub fn has_memory(&self) -> bool {
        !self.memory.is_empty()
    }

    /// Drops so many bytes at the front.
    pub fn skip(&mut self, length: usize) {
        self.start = (self.start + length).min(self.end);
    }

    /// Drops what stands behind `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.end = self.end.min(self.start + length);
    }

    /// Gives memory back where most of it is not used.
    pub fn shrink(&mut self) {
        if self.len() < self.memory.len() / 2 {
            self.memory = self.to_vec();
            (self.start, self.end) = (0, self.memory.len());
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }
}

impl AsRef<[u8]> for Buffer {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_stands_behind_what_was_kept() {
        let mut buffer = Buffer::default();
        for kept in [0, 1, 63, 64, 65, 1000] {
            let kept = vec![b'k'; kept];
            buffer.begin(&kept, 100);
            assert_eq!(&*buffer, &kept);
            buffer.room(100).copy_from_slice(&[b'r'; 100]);
            buffer.fill(60);
            buffer.grow(5000);
            buffer.room(5000).fill(b's');
            buffer.fill(5000);
            let expected = [&kept[..], &[b'r'; 60], &[b's'; 5000]].concat();
            assert_eq!(&*buffer, &expected);
            buffer.truncate(kept.len() + 10);
            buffer.shrink();
            assert_eq!(&*buffer, &expected[..kept.len() + 10]);
        }
    }
}
