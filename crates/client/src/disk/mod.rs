//! What is read from a disk to be sent, and written to one as it arrives.
