//! How a node shows NATS who it is: by a file of credentials, or by what stands in a URL.

use std::{fs, io};

use async_nats::ConnectOptions;

use crate::config;

/// The beginning of a connection.
///
/// # Errors
///
/// A sentence, where the credentials cannot be read.
pub(super) fn options(settings: &config::Cluster) -> Result<ConnectOptions, String> {
    match &settings.credentials {
        None => Ok(settings
            .nats
            .login()
            .map_or_else(ConnectOptions::new, as_user)),
        Some(path) => fs::read_to_string(path)
            .and_then(|text| credentials(&text))
            .map_err(|error| format!("RELAY_CLUSTER_NATS_CREDENTIALS {}: {error}", path.display())),
    }
}

/// What a file of credentials has: a JWT and its key, as NATS's own tools write them, or a line with
/// `user:password` or a token.
fn credentials(text: &str) -> io::Result<ConnectOptions> {
    if text.contains("-----BEGIN") {
        return ConnectOptions::with_credentials(text);
    }
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err(io::Error::other(
            "it has neither a JWT and its key nor one line of user:password or a token",
        ));
    }
    Ok(as_user(match text.split_once(':') {
        Some((user, password)) => (user.to_owned(), Some(password.to_owned())),
        None => (text.to_owned(), None),
    }))
}

/// A user with a password, or a token. The library does not look for them in URLs.
fn as_user((user, password): (String, Option<String>)) -> ConnectOptions {
    match password {
        Some(password) => ConnectOptions::with_user_and_password(user, password),
        None => ConnectOptions::with_token(user),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_a_jwt_or_one_line() {
        let jwt = "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n\
            -----BEGIN USER NKEY SEED-----\n\
            SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n------END USER NKEY SEED------\n";
        for good in ["me:pass:word\n", "token", jwt] {
            assert!(credentials(good).is_ok(), "{good}");
        }
        for bad in ["", "\n", "me: password", "two\nlines", "-----BEGIN"] {
            assert!(credentials(bad).is_err(), "{bad}");
        }
    }
}
