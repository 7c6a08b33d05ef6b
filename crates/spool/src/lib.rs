//! Accepted mail until it is delivered: durable store, recovery, schedule, bounces.
