//! What is left after the worst: a process killed while it writes.

mod crash;
