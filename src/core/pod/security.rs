//! What the view reads of a security context, of a Pod or of a container.

use serde::Deserialize;

use super::Object;

/// A `securityContext`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecurityContext {
    pub(super) run_as_user: Option<i64>,
    windows_options: Option<Object<WindowsOptions>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WindowsOptions {
    host_process: Option<bool>,
}

impl SecurityContext {
    /// Whether it makes a process of the host, which the API server allows for all containers of a Pod or for none.
    pub(super) fn is_host_process(&self) -> bool {
        self.windows_options.as_ref().is_some_and(|options| options.host_process == Some(true))
    }
}
