//! A thread that reads ahead: blocks go in as they are read and decompressed, and come out in order beside the decoding.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SendError, Sender, SyncSender, TryRecvError, TrySendError, channel, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::restless::restless;
use super::{AHEAD_BYTES, Blocks, Buffer};

/// So many blocks may wait: enough that neither side waits for the other's odd slow block, so few that the cache still
/// has them.
const WAITING: usize = 3;

/// Blocks that another thread reads.
pub struct Ahead {
    /// None behind the end. (No lock is ever taken: it makes this a thing that threads may share.)
    line: Option<Mutex<Line>>,
    process: u32,
}

/// What ties the two threads.
struct Line {
    blocks: Receiver<io::Result<Option<Buffer>>>,
    spares: Sender<Buffer>,
    thread: JoinHandle<()>,
}

impl Line {
    /// The next block, when it is there.
    fn receive(&self, patience: Duration) -> Result<io::Result<Option<Buffer>>, RecvTimeoutError> {
        let soon = restless(|| match self.blocks.try_recv() {
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(RecvTimeoutError::Disconnected)),
            Ok(block) => Some(Ok(block)),
        });
        soon.unwrap_or_else(|| self.blocks.recv_timeout(patience))
    }

    /// Stops the thread, which sees within a block that nobody listens, and closes the file. A panic of its is the
    /// result.
    fn hang_up(self) -> std::thread::Result<()> {
        drop(self.blocks);
        self.thread.join()
    }
}

impl Ahead {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// The blocks come back, to be read without a thread, if the system has none to give.
    pub fn new(mut blocks: Box<Blocks>) -> Result<Self, Box<Blocks>> {
        let (sender, receiver) = sync_channel(WAITING);
        let (spares, returned) = channel();
        let (hand, handed) = channel::<Box<Blocks>>();
        let thread = thread::Builder::new().name("chunkwire-read".into()).spawn(move || {
            if let Ok(mut blocks) = handed.recv() {
                read(&mut blocks, &sender, &returned);
            }
        });
        let Ok(thread) = thread else {
            blocks.may_be_ahead = false;
            return Err(blocks);
        };
        blocks.block_bytes = AHEAD_BYTES;
        if let Err(SendError(blocks)) = hand.send(blocks) {
            return Err(blocks);
        }
        let line = Line { blocks: receiver, spares, thread };
        Ok(Self { line: Some(Mutex::new(line)), process: std::process::id() })
    }

    /// The next block, Ok(None) at the end: see [`Blocks::next_block`]. None if it has not come within `patience`.
    ///
    /// # Errors
    ///
    /// Those of [`Blocks::next_block`], but never `Interrupted`; behind an error comes the end.
    ///
    /// # Panics
    ///
    /// If the reading thread did, or in a process that [is an orphan](Self::is_orphan).
    pub fn next_block(&mut self, patience: Duration) -> Option<io::Result<Option<Buffer>>> {
        assert!(!self.is_orphan(), "the thread is in another process");
        let Some(Ok(line)) = self.line.as_mut().map(Mutex::get_mut) else { return Some(Ok(None)) };
        let last = match line.receive(patience) {
            Ok(Ok(Some(block))) => return Some(Ok(Some(block))),
            Err(RecvTimeoutError::Timeout) => return None,
            Ok(last) => last,
            // It never goes without a last word, unless it panicked.
            Err(RecvTimeoutError::Disconnected) => Ok(None),
        };
        if let Some(Ok(line)) = self.line.take().map(Mutex::into_inner)
            && let Err(panic) = line.hang_up()
        {
            std::panic::resume_unwind(panic);
        }
        Some(last)
    }

    /// Takes the memory of a block back, for the next.
    pub fn give_back(&mut self, block: Buffer) {
        if self.is_orphan() {
            return;
        }
        if let Some(Ok(line)) = self.line.as_mut().map(Mutex::get_mut) {
            // Where nobody reads any more nobody needs it.
            let _ = line.spares.send(block);
        }
    }

    /// Is this a copy in a process that was forked? It has no thread, so no block will come.
    #[must_use]
    pub fn is_orphan(&self) -> bool {
        self.process != std::process::id()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let Some(Ok(line)) = self.line.take().map(Mutex::into_inner) else { return };
        if self.is_orphan() {
            // The thread may have held a lock of the channel when the process was forked: nobody will ever open it.
            std::mem::forget(line);
        } else {
            let _ = line.hang_up();
        }
    }
}

fn read(blocks: &mut Blocks, sender: &SyncSender<io::Result<Option<Buffer>>>, returned: &Receiver<Buffer>) {
    loop {
        if let Some(spare) = returned.try_iter().last() {
            blocks.give_back(spare);
        }
        let block = match blocks.next_block() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            block => block,
        };
        let is_last = !matches!(block, Ok(Some(_)));
        if !send(sender, block) || is_last {
            return;
        }
    }
}

/// Sends when there is room; false if nobody listens.
fn send(sender: &SyncSender<io::Result<Option<Buffer>>>, block: io::Result<Option<Buffer>>) -> bool {
    let mut unsent = Some(block);
    let sent = restless(|| match sender.try_send(unsent.take()?) {
        Ok(()) => Some(true),
        Err(TrySendError::Disconnected(_)) => Some(false),
        Err(TrySendError::Full(block)) => {
            unsent = Some(block);
            None
        }
    });
    sent.unwrap_or_else(|| unsent.is_some_and(|block| sender.send(block).is_ok()))
}
