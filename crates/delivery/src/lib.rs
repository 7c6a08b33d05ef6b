//! One attempt to hand one message to the next hop.
