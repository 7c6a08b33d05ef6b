//! Directory servers as the gateway and its administrators meet them.

mod commands;
