//! A file that one thread reads from its start to its end: its blocks in, its streams and counts out.
//!
//! So are all that are small, and large ones that cannot be split. What they are is recognised by the first bytes that are
//! read of them; a file that has to be converted first is not read on.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Setup;
use crate::decoder::Stats;
use crate::error::{Broken, Damage};
use crate::log::{self, Format, Layout, Learned, Log, Request};
use crate::source::{BLOCK_BYTES, Blocks, Buffer, Packing};
use crate::stream::{Measured, Streams, Tracker};

/// Who is told of what is found.
enum Told {
    Plain(Tracker),
    Measured(Measured),
}

/// What one thread reads. It begins with what was read to recognise it.
pub(super) struct Alone {
    blocks: Option<Box<Blocks>>,
    memory: Buffer,
    log: Log,
    told: Told,
    /// How many bytes of the file were counted.
    counted: u64,
}

impl Alone {
    /// None for what has to be converted first. `head` is what was read of the blocks; without blocks it is all.
    pub fn new(blocks: Option<Box<Blocks>>, head: Buffer, setup: &Setup, learned: &mut Learned) -> Option<Self> {
        let mut log = Log::begun(setup.options, setup.wanted.clone(), &head);
        if log.foreign().is_some() {
            return None;
        }
        log.learn(learned);
        let told = if setup.measures { Told::Measured(Measured::default()) } else { Told::Plain(Tracker::default()) };
        Some(Self { blocks, memory: head, log, told, counted: 0 })
    }

    /// Decodes a block and reads the next; false if there is none. `count` is told how many bytes of the file were read.
    pub fn work(&mut self, count: &AtomicU64) -> io::Result<bool> {
        let Self { blocks, memory, log, told, counted } = self;
        let mut at = 0;
        match told {
            Told::Plain(tracker) => while log.decode(memory, &mut at, usize::MAX, tracker) {},
            Told::Measured(measured) => while log.decode(memory, &mut at, usize::MAX, measured) {},
        }
        let packed = blocks.as_ref().and_then(|blocks| blocks.packed_bytes());
        let read = packed.unwrap_or(*counted + memory.len() as u64);
        count.fetch_add(read - std::mem::replace(counted, read), Relaxed);
        let Some(blocks) = blocks else { return Ok(false) };
        memory.begin(&[], BLOCK_BYTES);
        memory.read(BLOCK_BYTES, |room| blocks.read(room)).map(|length| length > 0).or_else(|error| {
            let broken = Broken::of(error)?;
            log.add_damage(&Damage::of_compression(log.stats().bytes, &broken));
            Ok(false)
        })
    }

    /// The end of the file; gives the memory back.
    pub fn finish(mut self, learned: &mut Learned) -> (Streams, Stats, Buffer) {
        let tracker = match self.told {
            Told::Plain(mut tracker) => {
                self.log.finish(&mut tracker);
                tracker
            }
            Told::Measured(mut measured) => {
                self.log.finish(&mut measured);
                measured.into_tracker()
            }
        };
        self.log.teach(learned);
        (tracker.finish(), self.log.stats(), self.memory)
    }
}

/// Reads a file into the memory: all of it, if it is small and not packed; else gives the blocks that it has, of which
/// as much was read into the memory as it takes to recognise it.
pub(super) fn begin(
    path: &Path,
    most: Option<u64>,
    request: &Request,
    memory: &mut Buffer,
) -> io::Result<Option<Box<Blocks>>> {
    let mut file = File::open(path)?;
    memory.begin(&[], log::HEAD_BYTES);
    let mut left = log::HEAD_BYTES;
    while left > 0 {
        match memory.read(left, |room| file.read(room))? {
            0 => break,
            length => left -= length,
        }
    }
    if left > 0 && Packing::of_file(memory, path).is_none() {
        return Ok(None);
    }
    let metadata = file.metadata()?;
    let mut blocks = Box::new(Blocks::begun(file, &metadata, memory.to_vec(), path, most));
    read_head(&mut blocks, request, memory)?;
    Ok(Some(blocks))
}

/// How a file is to be read, by as much of it as that takes, which is read into `head`; of an event stream that somebody
/// said to be one that is nothing.
///
/// # Errors
///
/// What the system says.
pub fn recognise(blocks: &mut Blocks, request: &Request, head: &mut Buffer) -> io::Result<Layout> {
    if request.told == log::Told::Format(Format::Sse) {
        return Ok(Layout::sse());
    }
    read_head(blocks, request, head)?;
    Ok(log::recognise(head, request))
}

/// Reads as much of a file as it takes to recognise it.
fn read_head(blocks: &mut Blocks, request: &Request, memory: &mut Buffer) -> io::Result<()> {
    memory.begin(&[], log::HEAD_BYTES);
    while memory.is_empty() || log::needs_more(memory, request) {
        memory.grow(log::HEAD_BYTES);
        let more = memory.read(log::HEAD_BYTES, |room| blocks.read(room)).or_else(|error| {
            // What is wrong with packed bytes is said again when they are read on.
            Broken::of(error).map(|_| 0)
        })?;
        if more == 0 {
            break;
        }
    }
    Ok(())
}
