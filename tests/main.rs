//! End-to-end tests: the real binary between real peers. Each numbered folder is a theme, with its configurations,
//! dialogues and expected outputs beside its code. `README.md` says how to run them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod harness;

mod t01_clients;
mod t02_certificates;
mod t03_authentication;
mod t04_dialogues;
mod t05_delivery;
mod t06_crash;
mod t07_operating;
mod t08_commands;
mod t09_revocation;
mod t10_directories;
mod t11_policy;
mod t12_sasl;
mod t13_senders;
mod t14_explain;
mod t15_modes;
mod t16_queue;
mod t17_inline;
mod t18_identity;
mod t19_metrics;
