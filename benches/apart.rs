//! How far apart two processors are, told below the table of `sources.py`: prints the nanoseconds in which a byte gets from the
//! cache of one to that of another and back. Where they share a cache it is 50 to 100; where they do not, several times
//! as many, and then what one thread unpacks and another decodes comes late. A virtual machine may be in one place now
//! and in the other a minute later.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

const ROUNDS: u32 = 10;
const TRIPS: u32 = 20_000;

fn main() {
    if thread::available_parallelism().is_ok_and(|processors| processors.get() < 2) {
        return;
    }
    let ball = AtomicU32::new(0);
    let best = thread::scope(|scope| {
        scope.spawn(|| {
            for trip in 0..ROUNDS * TRIPS {
                wait_for(&ball, 2 * trip + 1);
                ball.store(2 * trip + 2, SeqCst);
            }
        });
        let round = |number| {
            let started = Instant::now();
            for trip in number * TRIPS..(number + 1) * TRIPS {
                ball.store(2 * trip + 1, SeqCst);
                wait_for(&ball, 2 * trip + 2);
            }
            started.elapsed()
        };
        // The best of some: in the first ones the system may not have given each thread a processor of its own.
        (0..ROUNDS).map(round).min()
    });
    #[allow(clippy::print_stdout)]
    {
        println!("{}", best.unwrap_or_default().as_nanos() / u128::from(TRIPS));
    }
}

fn wait_for(ball: &AtomicU32, number: u32) {
    for spins in 1.. {
        if ball.load(SeqCst) == number {
            return;
        }
        // For the other may have no processor; so seldom that the system finds it one of its own.
        if spins % 100_000 == 0 { thread::yield_now() } else { spin_loop() }
    }
}
