//! One client connection, from accept to QUIT.
