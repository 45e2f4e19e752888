//! Counts the line ends of a file, read in blocks of 1 MiB, and prints their number: the least that a program can do
//! with a log. `goals.py` builds it and holds a clock to it; `cargo bench --bench newlines -- PATH` runs it.
#![allow(clippy::print_stdout)]

use std::fs::File;
use std::io::Read;

const BLOCK: usize = 1 << 20;

fn main() {
    // Without a path it was cargo that ran all benchmarks or tests.
    let Some(path) = std::env::args_os().skip(1).find(|argument| argument != "--bench") else { return };
    let mut file = File::open(path).expect("a readable file");
    // The kernel copies several times slower to an address that is no multiple of 64, as that of a large Vec is not.
    let mut memory = vec![0; BLOCK + 64];
    let start = memory.as_ptr().align_offset(64);
    let block = &mut memory[start..start + BLOCK];
    let mut lines = 0;
    loop {
        let size = file.read(block).expect("a readable file");
        if size == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &block[..size]).count();
    }
    println!("{lines}");
}
