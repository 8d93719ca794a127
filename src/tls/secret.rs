//! How the authority that the replicas share is kept in a Secret.
//!
//! `tls.crt` and `tls.key` are the authority that signs now. `ca.crt` has every authority that may still have signed
//! what some replica serves, so that each replica knows what the registration must hold. The key of a leaf is
//! never in it.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::ByteString;

use super::{
    authority::{Authority, NewAuthority},
    bundle::{self, Bundle},
    certificate::CaCertificate,
};

/// The keys of the Secret's data.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";

/// The data of a Secret.
pub type Data = BTreeMap<String, ByteString>;

/// What a Secret holds.
#[derive(Clone, Debug)]
pub enum Stored {
    /// Nothing yet, as the chart makes it.
    Empty,
    /// An authority that can sign.
    Whole {
        /// The authority that signs now.
        authority: Arc<Authority>,
        /// All that are to be trusted, itself included.
        trusted: Vec<CaCertificate>,
    },
    /// Something else, by somebody else's hand.
    Broken {
        /// What is wrong.
        reason: String,
        /// The authorities that can be read all the same.
        trusted: Vec<CaCertificate>,
    },
}

impl Stored {
    /// Reads the data of a Secret.
    #[must_use]
    pub fn read(data: &Data) -> Self {
        let part = |key| data.get(key).map_or(&[][..], |value| &value.0);
        let mut trusted = Bundle::read(part(AUTHORITIES)).authorities;
        let (certificate, key) = (part(CERTIFICATE), part(KEY));
        if [CERTIFICATE, KEY, AUTHORITIES].iter().all(|key| part(key).trim_ascii().is_empty()) {
            return Self::Empty;
        }
        for (content, name) in [(certificate, CERTIFICATE), (key, KEY)] {
            if content.trim_ascii().is_empty() {
                return Self::Broken { reason: format!("it has no {name}"), trusted };
            }
        }
        match Authority::read(certificate, key) {
            Ok(authority) => {
                bundle::add(&mut trusted, authority.certificate().clone());
                Self::Whole { authority: Arc::new(authority), trusted }
            }
            Err(error) => Self::Broken { reason: error.to_string(), trusted },
        }
    }

    /// Those that it says are to be trusted.
    #[must_use]
    pub fn trusted(&self) -> &[CaCertificate] {
        match self {
            Self::Empty => &[],
            Self::Whole { trusted, .. } | Self::Broken { trusted, .. } => trusted,
        }
    }
}

/// Puts a new authority into the data of a Secret, before those that are to be trusted on.
pub fn fill(data: &mut Data, new: &NewAuthority, trusted: &[CaCertificate]) {
    let trusted = [&new.certificate, bundle::write(trusted).as_str()].concat();
    for (key, value) in [(CERTIFICATE, &new.certificate), (KEY, &new.key), (AUTHORITIES, &trusted)] {
        data.insert(key.to_owned(), ByteString(value.clone().into_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use k8s_openapi::ByteString;

    use super::{Data, Stored, fill};
    use crate::tls::authority::Authority;

    const HOUR: Duration = Duration::from_hours(1);

    fn filled() -> Data {
        let now = SystemTime::now();
        let old = Authority::generate(now, HOUR).unwrap();
        let mut data = Data::new();
        let trusted = vec![old.authority.certificate().clone()];
        fill(&mut data, &Authority::generate(now, HOUR).unwrap(), &trusted);
        data
    }

    fn reason(data: &Data) -> String {
        match Stored::read(data) {
            Stored::Broken { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_filled_is_read() {
        let Stored::Whole { trusted, authority } = Stored::read(&filled()) else { panic!("it is whole") };
        assert_eq!(trusted.len(), 2);
        assert!(trusted.contains(authority.certificate()));
    }

    #[test]
    fn what_is_not_whole_says_why() {
        assert!(matches!(Stored::read(&Data::new()), Stored::Empty));
        let set = |key: &str, value: &[u8]| {
            let mut data = filled();
            data.insert(key.to_owned(), ByteString(value.to_vec()));
            data
        };
        let other = filled();
        assert_eq!(reason(&set("tls.crt", b"")), "it has no tls.crt");
        assert_eq!(reason(&set("tls.key", b"")), "it has no tls.key");
        assert!(reason(&set("tls.crt", b"garbage")).starts_with("its certificate is not PEM"));
        assert_eq!(reason(&set("tls.key", &[0xff])), "its key is not a PKCS#8 key as PEM");
        assert_eq!(reason(&set("tls.crt", &other["tls.crt"].0)), "its key is not the certificate's");
        assert_eq!(Stored::read(&set("tls.key", b"")).trusted().len(), 2, "the rest still counts");
        let without = set("ca.crt", b"garbage");
        assert_eq!(Stored::read(&without).trusted().len(), 1);
    }
}
