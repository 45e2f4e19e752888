//! A file that several threads read at once, each where it likes.

use std::fs::File;
use std::io;

/// A file of bytes, with no place that it is at.
pub struct Positioned(File);

impl Positioned {
    /// Does this system have such files?
    pub(super) const IS_THERE: bool = cfg!(any(unix, windows));

    pub(super) fn new(file: File) -> Self {
        Self(file)
    }

    /// Reads at this offset until `memory` is full or the file ends; gives how many bytes.
    ///
    /// # Errors
    ///
    /// What the system says, but never `Interrupted`.
    pub fn read(&self, memory: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut length = 0;
        while length < memory.len() {
            match self.read_once(&mut memory[length..], offset + length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    }

    #[cfg(unix)]
    fn read_once(&self, memory: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, memory, offset)
    }

    #[cfg(windows)]
    fn read_once(&self, memory: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.0, memory, offset)
    }

    #[cfg(not(any(unix, windows)))]
    fn read_once(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
