//! Who is asking, and whether they may: client addresses behind proxies, web pages, access keys, budgets of
//! requests, of wrong codes and of log lines, the brake on guessing, the share of an address in what the relay has,
//! what each has done here, and what the operator has decided of it.
//!
//! Pure: headers and the time are passed in. Which requests there are, and what follows a refusal,
//! is for the registry.

pub mod access;
pub mod address;
pub mod admission;
pub mod brake;
pub mod budget;
pub mod callers;
pub mod log_budget;
pub mod network;
pub mod origin;
pub mod rules;
pub mod shares;
