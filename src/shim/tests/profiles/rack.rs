//! The application for the servers of Ruby.

use crate::{client::WHOLE, site::Site};

/// Writes `config.ru`, and says where it is.
pub(crate) fn application(site: &Site) -> String {
    let (begun, released) = (site.begun(), site.released());
    let text = format!(
        "run lambda {{ |env|
            if env['PATH_INFO'] == '/slow'
              File.write('{begun}', '')
              sleep 0.01 until File.exist?('{released}')
            end
            [200, {{'Content-Type' => 'text/plain', 'Content-Length' => '{}'}}, [{WHOLE:?}]]
        }}",
        WHOLE.len()
    );
    site.write("config.ru", &text)
}
