//! Throw-away PKI, recording next hop and scripted client, for the demo command and for tests.
