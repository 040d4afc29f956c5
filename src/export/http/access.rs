//! Who would see the page and the API at each address, told before anybody listens there.

use std::net::ToSocketAddrs;

use super::routes::Exposure;
use super::security::{Security, WebConfigError};
use super::settings::{ListenAddress, WebSettings};

/// Who sees the page and the API at an address; metrics and health answer everybody, or whoever has the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever has a password or a certificate, as `web.config.file` says.
    Authenticated,
    /// Whoever is on this machine.
    Machine,
    /// Whoever reaches the address, as `web.allow_unauthenticated` says.
    Everybody,
    /// Nobody: others reach the address, and nothing asks who they are.
    Nobody,
    /// The address isn't known here.
    Unknown,
}

/// Who would see page and API at each address of the settings, if the files that they name can be used. Listens nowhere.
pub fn verify(settings: &WebSettings) -> Result<Vec<(ListenAddress, Access)>, WebConfigError> {
    let security = Security::read(settings.config.file.as_deref())?;
    let authenticates = security.rules().authenticates();
    let access = |address: &ListenAddress| match exposure(address) {
        _ if authenticates => Access::Authenticated,
        Some(Exposure::Loopback) => Access::Machine,
        Some(Exposure::Network) if settings.allow_unauthenticated => Access::Everybody,
        Some(Exposure::Network) => Access::Nobody,
        None => Access::Unknown,
    };
    let addresses = settings.listen_address.iter();
    Ok(addresses.map(|address| (address.clone(), access(address))).collect())
}

/// Who can reach the address, if it is known here.
fn exposure(address: &ListenAddress) -> Option<Exposure> {
    if address.host().is_empty() {
        return Some(Exposure::Network);
    }
    let mut resolved = (address.host(), address.port()).to_socket_addrs().ok()?;
    Some(Exposure::of(resolved.next()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addresses: &[&str], allow_unauthenticated: bool, expected: &[Access]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address"));
        let settings = WebSettings {
            listen_address: addresses.collect(),
            allow_unauthenticated,
            ..WebSettings::default()
        };
        let told = verify(&settings).expect("it names no file");
        let told: Vec<Access> = told.into_iter().map(|(_, access)| access).collect();
        assert_eq!(told, expected, "{settings:?}");
    }

    #[test]
    fn page_and_api_are_closed_where_others_reach_them() {
        use Access::{Everybody, Machine, Nobody};
        check(
            &["127.0.0.1:9468", "[::1]:0", ":9468"],
            false,
            &[Machine, Machine, Nobody],
        );
        check(&["0.0.0.0:9468", "[::]:9468"], false, &[Nobody, Nobody]);
        check(&["10.1.2.3:9468", "localhost:1"], true, &[Everybody, Machine]);
    }
}
