//! How far apart two processors are, for the head of `sources.py`: prints the nanoseconds in which a byte gets from the
//! cache of one to that of another and back. Where they share a cache it is about 100; where they do not, several times
//! as many, and then what one thread unpacks and another decodes comes late. A virtual machine may be in one place now
//! and in the other a minute later.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 20;
const TRIPS: u32 = 5_000;

fn main() {
    if thread::available_parallelism().is_ok_and(|processors| processors.get() < 2) {
        return;
    }
    // The best of some rounds: in others the system had something else to do for one of the two.
    let best = (0..ROUNDS).map(|_| round()).min().unwrap_or_default();
    #[allow(clippy::print_stdout)]
    {
        println!("{}", best.as_nanos() / u128::from(TRIPS));
    }
}

/// How long so many trips take.
fn round() -> Duration {
    let ball = AtomicU32::new(0);
    let wait_for = |number| {
        for spins in 1.. {
            if ball.load(SeqCst) == number {
                return;
            }
            // Now and then: if the other has no processor it can have this one.
            if spins % 1000 == 0 { thread::yield_now() } else { spin_loop() }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for trip in 0..TRIPS {
                wait_for(2 * trip + 1);
                ball.store(2 * trip + 2, SeqCst);
            }
        });
        let started = Instant::now();
        for trip in 0..TRIPS {
            ball.store(2 * trip + 1, SeqCst);
            wait_for(2 * trip + 2);
        }
        started.elapsed()
    })
}
