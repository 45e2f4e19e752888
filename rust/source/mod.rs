//! The source room: a path in, blocks of decompressed bytes out.
//!
//! Files are read, not mapped: a block is as fast, memory stays flat, and nobody can pull a file from under a slice.

mod ahead;
mod buffer;
mod packed;
mod positioned;
mod restless;
mod unpack;

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::LazyLock;

pub use ahead::Ahead;
pub use buffer::Buffer;
pub use packed::{FREE_BYTES, MOST_RATIO, Packed, Pushed};
pub use positioned::Positioned;
pub(crate) use restless::restless;
pub use unpack::{HEAD_BYTES, Head, Packing};

/// How many bytes a block has at most: so few that the cache still has them when they are decoded.
pub const BLOCK_BYTES: usize = 1 << 18;

/// How many it has at most where another thread reads it: to hand a block over costs something.
pub const AHEAD_BYTES: usize = 1 << 19;

/// From this size on a file is worth a thread that reads it; a compressed one is from a fraction of it.
const LARGE_FILE: u64 = 1 << 20;
const LARGE_COMPRESSED_FILE: u64 = 1 << 16;

/// The bytes of a file: those that `open` looked at, and the rest.
type Whole = io::Chain<io::Cursor<Vec<u8>>, File>;

/// Where unpacked bytes come from.
enum Reader {
    Plain(Whole),
    Packed(Box<Packed<Whole>>),
}

impl Read for Reader {
    fn read(&mut self, memory: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(memory),
            Self::Packed(reader) => reader.read(memory),
        }
    }
}

/// A file's bytes, unpacked where its first bytes, or a name that ends in `.br`, say that they are packed.
pub struct Blocks {
    reader: Reader,
    /// The size of the file on disk.
    pub size: u64,
    /// May another thread read it? (It is a file that is read without waiting, no pipe or the like.)
    may_be_ahead: bool,
    /// How many bytes were read to recognise the format, while they have not been given out.
    head: usize,
    /// How much of a plain file is left to read, as far as its size tells: a small file gets a small block.
    left: Option<u64>,
    block_bytes: usize,
    /// The memory of a block that is not needed any more.
    spare: Option<Buffer>,
}

impl Blocks {
    /// Opens a file. Of a packed one no more than `most` bytes are given, by default so many times its size.
    ///
    /// # Errors
    ///
    /// What the system says, also for a directory.
    pub fn open(path: &Path, most: Option<u64>) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut head = Vec::with_capacity(HEAD_BYTES);
        file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        Ok(Self::begun(file, &metadata, head, path, most))
    }

    /// Those of a file of which `head` was read, with a few bytes at least if it has them.
    #[must_use]
    pub fn begun(file: File, metadata: &Metadata, head: Vec<u8>, path: &Path, most: Option<u64>) -> Self {
        let packing = Packing::of_file(&head, path);
        let head_length = head.len();
        let whole = io::Cursor::new(head).chain(file);
        let size = metadata.is_file().then_some(metadata.len());
        let reader = match packing {
            Some(packing) => Reader::Packed(Box::new(Packed::new(whole, packing, size, most))),
            None => Reader::Plain(whole),
        };
        Self {
            reader,
            size: metadata.len(),
            may_be_ahead: metadata.is_file(),
            head: if packing.is_some() { 0 } else { head_length },
            left: size.filter(|_| packing.is_none()),
            block_bytes: BLOCK_BYTES,
            spare: None,
        }
    }

    /// The next block; None at the end.
    ///
    /// # Errors
    ///
    /// What the system says, `Interrupted` by a signal too (call again); [`Broken`](crate::error::Broken) for a packed
    /// file that is cut, damaged or too large. All that was whole before it has been given.
    pub fn next_block(&mut self) -> io::Result<Option<Buffer>> {
        let most = self.block_bytes;
        let size = self.left.map_or(most, |left| (left as usize).saturating_add(1).clamp(1 << 12, most));
        let mut block = self.spare.take().unwrap_or_default();
        block.begin(&[], size);
        let length = self.read(block.room(size))?;
        block.fill(length);
        self.left = self.left.map(|left| left.saturating_sub(length as u64));
        block.shrink();
        Ok((length > 0).then_some(block))
    }

    /// Reads into `memory`, which has more than a few bytes; gives how many, 0 at the end. Do not mix with `next_block`.
    ///
    /// # Errors
    ///
    /// As for [`next_block`](Self::next_block).
    pub fn read(&mut self, memory: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        // One read a block, so that what a pipe has is given at once; but the few bytes that `open` looked at come
        // back as a read of their own.
        while length <= self.head {
            match self.reader.read(&mut memory[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if length == 0 => return Err(error),
                // The error comes again at the next read.
                Err(_) => break,
            }
        }
        self.head = 0;
        Ok(length)
    }

    /// Is it worth a thread that reads ahead? A pipe never is: nobody could stop a thread that waits for one.
    #[must_use]
    pub fn is_worth_a_thread(&self) -> bool {
        static PROCESSORS: LazyLock<usize> =
            LazyLock::new(|| std::thread::available_parallelism().map_or(1, Into::into));
        let large = if self.is_plain() { LARGE_FILE } else { LARGE_COMPRESSED_FILE };
        self.may_be_ahead && self.size >= large && *PROCESSORS > 1
    }

    /// Is it a file that is not compressed, whose size is known?
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.left.is_some()
    }

    /// The file itself, to be read at any place, if it is a plain one; from its start, whatever was read.
    ///
    /// # Errors
    ///
    /// Gives itself back if it is compressed, or not of a known size.
    pub fn into_positioned(mut self: Box<Self>) -> Result<Positioned, Box<Self>> {
        match self.reader {
            Reader::Plain(whole) if self.left.is_some() && Positioned::IS_THERE => {
                Ok(Positioned::new(whole.into_inner().1))
            }
            reader => {
                self.reader = reader;
                Err(self)
            }
        }
    }

    /// Does it cost a thread nothing to read on where another has read? It does where unpacking looks back at more than
    /// fits into a cache, which the other's has.
    #[must_use]
    pub fn is_light(&self) -> bool {
        match &self.reader {
            Reader::Plain(_) => true,
            Reader::Packed(packed) => packed.is_light(),
        }
    }

    /// How many bytes of the file were read to give what was given, if it is packed.
    #[must_use]
    pub fn packed_bytes(&self) -> Option<u64> {
        match &self.reader {
            Reader::Plain(_) => None,
            Reader::Packed(packed) => Some(packed.read_bytes()),
        }
    }

    /// Takes the memory of a block back, for the next.
    pub fn give_back(&mut self, block: Buffer) {
        self.spare = Some(block);
    }
}
