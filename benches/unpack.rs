//! A contender of `sources.py`: unpacks a file by the code that chunkwire unpacks with, drops what comes out, and prints
//! the seconds and the bytes. Nothing is decoded, and nothing runs beside it.

use std::path::Path;
use std::time::Instant;

use chunkwire::source::Blocks;

fn main() {
    // (`cargo bench` adds an argument of its own.)
    for path in std::env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        let started = Instant::now();
        let mut blocks = Blocks::open(Path::new(&path), None).expect("a file");
        let mut bytes = 0;
        while let Some(block) = blocks.next_block().expect("a whole file") {
            bytes += block.len();
            blocks.give_back(block);
        }
        #[allow(clippy::print_stdout)]
        {
            println!("{} {bytes}", started.elapsed().as_secs_f64());
        }
    }
}
