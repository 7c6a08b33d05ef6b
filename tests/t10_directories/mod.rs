//! Directory servers as the gateway and its administrators meet them.

mod commands;
mod decisions;
mod faults;
mod how_tos;
mod people;
mod walk;
