//! What is known of an object of the cluster, before and after the first answer.

/// What is known of an object of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight<T> {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It does not exist.
    Missing,
    /// It exists.
    Found(T),
}

impl<T> Sight<T> {
    /// What was found, if anything was.
    pub fn found(self) -> Option<T> {
        if let Self::Found(found) = self { Some(found) } else { None }
    }

    /// Something made of what was found.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Sight<U> {
        match self {
            Self::Unknown => Sight::Unknown,
            Self::Missing => Sight::Missing,
            Self::Found(found) => Sight::Found(make(found)),
        }
    }

    /// The same by reference.
    pub const fn as_ref(&self) -> Sight<&T> {
        match self {
            Self::Unknown => Sight::Unknown,
            Self::Missing => Sight::Missing,
            Self::Found(found) => Sight::Found(found),
        }
    }
}
