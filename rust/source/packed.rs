//! Packed bytes in, unpacked bytes out: all parts of a source one behind the other, up to its end, to damage, or to the
//! bound on how much may come out.

use std::io::{self, Read};

use super::unpack::{Codec, Head, Packing, State, Step};
use crate::error::{Broken, Kind};

/// How many packed bytes are read at once. (A block of zstd has no more.)
const INPUT_BYTES: usize = 1 << 17;

/// So much may come out of any source, whatever its size.
pub const FREE_BYTES: u64 = 256 << 20;

/// So many times its size may come out of a source that has no other bound. Each event has some bytes of its own, so a
/// log is far from it: the most regular of the benchmarks' logs become 10 to 60 times smaller. A gzip of zeros comes to
/// 1,030.
pub const MOST_RATIO: u64 = 1000;

/// Unpacks what a reader gives.
pub struct Packed<R> {
    reader: R,
    packing: Packing,
    /// None between two parts.
    codec: Option<Box<dyn Codec>>,
    /// How many parts have begun.
    parts: u64,
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// How many packed bytes were read, and how many there are, if that is known.
    read: u64,
    size: Option<u64>,
    given: u64,
    /// May the codec hold bytes for which there was no room?
    is_pending: bool,
    /// The most that is given, if the caller said so.
    most: Option<u64>,
    broken: Option<Broken>,
}

impl<R: Read> Packed<R> {
    /// At the start of the reader's bytes, of which there are `size`, if that is known. No more than `most` are given;
    /// the default depends on the size.
    pub fn new(reader: R, packing: Packing, size: Option<u64>, most: Option<u64>) -> Self {
        Self {
            reader,
            packing,
            codec: None,
            parts: 0,
            input: Vec::new(),
            start: 0,
            end: 0,
            read: 0,
            size,
            given: 0,
            is_pending: false,
            most,
            broken: None,
        }
    }

    /// How many packed bytes were read.
    pub fn read_bytes(&self) -> u64 {
        self.read
    }

    /// Does all that unpacking looks back at fit into a processor's own cache?
    pub fn is_light(&self) -> bool {
        self.packing.is_light()
    }

    /// Where the packed bytes come from.
    pub fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// How many more bytes may come out.
    fn room(&self) -> u64 {
        let most = self.most.unwrap_or_else(|| {
            let packed = self.size.unwrap_or_default().max(self.read);
            packed.saturating_mul(MOST_RATIO).max(FREE_BYTES)
        });
        most.saturating_sub(self.given)
    }

    /// Reads packed bytes where none are left; false at their end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.start < self.end {
            return Ok(true);
        }
        if self.input.is_empty() {
            let size = self.size.map_or(INPUT_BYTES, |size| (size as usize).clamp(1 << 10, INPUT_BYTES));
            self.input = vec![0; size];
        }
        let length = self.reader.read(&mut self.input)?;
        (self.start, self.end) = (0, length);
        self.read += length as u64;
        Ok(length > 0)
    }

    /// Begins the next part; false at the end.
    fn begin(&mut self) -> Result<bool, Failure> {
        loop {
            if !self.fill()? {
                return Ok(false);
            }
            let zeros = self.input[self.start..self.end].iter().take_while(|&&byte| byte == 0).count();
            if self.parts > 0 && self.packing.is_padded() && zeros > 0 {
                self.start += zeros;
                continue;
            }
            break;
        }
        if self.parts > 0 && !self.continues()? {
            let (name, part) = (self.packing.name(), self.packing.part_name());
            let reason = format!("what stands behind {part} {} of the {name} data is no {name} data", self.parts);
            return Err(Failure::Broken(Broken::cut(reason, false)));
        }
        self.codec = Some(self.packing.codec());
        self.parts += 1;
        Ok(true)
    }

    /// Is what comes next packed in the same way?
    fn continues(&mut self) -> Result<bool, Failure> {
        loop {
            match Packing::of(&self.input[self.start..self.end]) {
                Head::Packed(packing) => return Ok(packing == self.packing),
                Head::Plain => return Ok(false),
                Head::Short => {}
            }
            // Only a few bytes are left of what was read.
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let length = self.reader.read(&mut self.input[self.end..])?;
            self.end += length;
            self.read += length as u64;
            if length == 0 {
                // Where it may be the beginning of a part it is cut.
                return Ok(self.packing.begins(&self.input[self.start..self.end]).is_none());
            }
        }
    }

    fn fault(&self, what: &str, is_cut: bool) -> Failure {
        let (name, part) = (self.packing.name(), self.packing.part_name());
        let place = if self.parts > 1 { format!(" (in its {part} {})", self.parts) } else { String::new() };
        Failure::Broken(Broken::cut(format!("the {name} data {what}{place}"), is_cut))
    }

    fn too_much(&self) -> Failure {
        let name = self.packing.name();
        let reason = match self.most {
            Some(most) => format!(
                "the {name} data unpacks to more than {most} bytes, which max_decompressed_bytes allows; \
                 the rest was not read"
            ),
            None => format!(
                "the {name} data unpacks to more than {MOST_RATIO} times its size: {} bytes came out of {} at most, \
                 the rest was not read; max_decompressed_bytes allows more",
                self.given,
                self.size.unwrap_or_default().max(self.read),
            ),
        };
        Failure::Broken(Broken { kind: Kind::SourceTooLarge, reason, is_cut: false })
    }

    /// Unpacks into `memory`, as much as there is without waiting.
    fn unpack(&mut self, memory: &mut [u8], filled: &mut usize) -> Result<(), Failure> {
        while *filled < memory.len() {
            if self.codec.is_none() && !self.begin()? {
                return Ok(());
            }
            if self.start == self.end && !self.is_pending {
                // What a pipe has is given at once.
                if *filled > 0 && self.size.is_none() {
                    return Ok(());
                }
                if !self.fill()? {
                    return Err(self.fault("ends before its end mark", true));
                }
            }
            let room = self.room();
            let mut probe = [0];
            let output = match usize::try_from(room) {
                Ok(0) => &mut probe[..],
                room => {
                    let until = filled.saturating_add(room.unwrap_or(usize::MAX)).min(memory.len());
                    &mut memory[*filled..until]
                }
            };
            let output_bytes = output.len();
            let Some(codec) = &mut self.codec else { return Ok(()) };
            let Step { consumed, produced, state } = codec.unpack(&self.input[self.start..self.end], output);
            self.start += consumed;
            if room == 0 && produced > 0 {
                return Err(self.too_much());
            }
            *filled += produced;
            self.given += produced as u64;
            self.is_pending = produced == output_bytes;
            match state {
                State::End => (self.codec, self.is_pending) = (None, false),
                State::Damaged => return Err(self.fault("is damaged", false)),
                State::TooMuchMemory => return Err(self.fault("needs too much memory to be unpacked", false)),
                State::More if consumed == 0 && produced == 0 && self.start < self.end => {
                    return Err(self.fault("is damaged", false));
                }
                State::More => {}
            }
        }
        Ok(())
    }
}

enum Failure {
    Io(io::Error),
    Broken(Broken),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<R: Read> Read for Packed<R> {
    /// What is whole is given before an error; behind one that says that the source is [`Broken`] it comes again.
    fn read(&mut self, memory: &mut [u8]) -> io::Result<usize> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone().into());
        }
        let mut filled = 0;
        match self.unpack(memory, &mut filled) {
            Err(Failure::Broken(broken)) => {
                self.broken = Some(broken.clone());
                if filled == 0 { Err(broken.into()) } else { Ok(filled) }
            }
            Err(Failure::Io(error)) if filled == 0 => Err(error),
            _ => Ok(filled),
        }
    }
}

/// Blocks that somebody pushes, as a reader that would block where there is none.
pub struct Pushed<B> {
    block: Option<B>,
    at: usize,
    is_ended: bool,
}

impl<B: AsRef<[u8]>> Pushed<B> {
    /// The first block.
    pub fn new(block: B) -> Self {
        Self { block: Some(block), at: 0, is_ended: false }
    }

    /// The next block; it is asked for by `WouldBlock`.
    pub fn push(&mut self, block: B) {
        (self.block, self.at) = (Some(block), 0);
    }

    /// There is none any more.
    pub fn end(&mut self) {
        self.is_ended = true;
    }
}

impl<B: AsRef<[u8]>> Read for Pushed<B> {
    fn read(&mut self, memory: &mut [u8]) -> io::Result<usize> {
        let rest = self.block.as_ref().map_or(&b""[..], |block| &block.as_ref()[self.at..]);
        let length = rest.len().min(memory.len());
        memory[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        if length == 0 {
            self.block = None;
            if !self.is_ended {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        Ok(length)
    }
}
