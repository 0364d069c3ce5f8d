//! Tests of the engine: brute force, the optimum, laws, published examples, a yearbook.

#![allow(clippy::unwrap_used, reason = "what does not work shows by ending here")]

mod brute_force;
mod examples;
mod laws;
mod optimum;
mod tables;
mod yearbook;
mod yearbook_system;
