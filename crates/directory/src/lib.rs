//! People: who a certificate or a user name stands for. Holds no certificates, only query tokens.
