//! A Postfix of our own: on loopback, with its own configuration, queue and mailboxes in the test's folder.
