//! One file a command, or a few that are one thought. Handlers take the state and return the next.

mod ehlo;
mod starttls;
mod auth;
mod mail;
mod rcpt;
mod data;
mod bdat;
mod simple;
