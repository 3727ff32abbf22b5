//! TLS 1.3 (RFC 8446) between the transport and HTTP, by rustls.

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Reads the certificate chain and the key it is for, both PEM.
///
/// # Errors
/// If a file cannot be read, or the two do not fit each other.
pub fn configure(certificates: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let chain = std::fs::read(certificates)
        .with_context(|| format!("cannot read the certificates in {}", certificates.display()))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} holds no PEM certificates", certificates.display()))?;
    let key_text = std::fs::read(key).with_context(|| format!("cannot read the key in {}", key.display()))?;
    let key = PrivateKeyDer::from_pem_slice(&key_text)
        .with_context(|| format!("{} holds no PEM key", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and the key do not fit each other")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// One connection's.
#[derive(Debug)]
pub struct Session(ServerConnection);

impl Session {
    /// Waits for the client to begin.
    ///
    /// # Errors
    /// If `config` cannot serve.
    pub fn new(config: &Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut connection = ServerConnection::new(Arc::clone(config))?;
        // Bounded by who calls `send`.
        connection.set_buffer_limit(None);
        Ok(Session(connection))
    }

    /// Takes what has come and adds what was in it to `plain`. Also after an error there may be output: it tells the
    /// client.
    ///
    /// # Errors
    /// If the client does not speak TLS 1.3, or somebody has changed what it said.
    pub fn receive(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), rustls::Error> {
        while !bytes.is_empty() {
            let before = bytes.len();
            // Reading from a slice cannot fail, but rustls refuses when it holds too much.
            let count = self.0.read_tls(&mut bytes).unwrap_or(0);
            let state = self.0.process_new_packets()?;
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            let read = self.0.reader().read(&mut plain[start..]).unwrap_or(0);
            plain.truncate(start + read);
            if count == 0 && bytes.len() == before {
                return Err(rustls::Error::General("more than can be taken".into()));
            }
        }
        Ok(())
    }

    /// Encrypts.
    pub fn send(&mut self, plain: &[u8]) {
        // The buffer has no limit.
        let _ = self.0.writer().write_all(plain);
    }

    /// Nothing more will be sent.
    pub fn finish(&mut self) {
        self.0.send_close_notify();
    }

    /// What is to go out, if anything is.
    pub fn take_output(&mut self) -> Option<Vec<u8>> {
        let mut output = Vec::new();
        while self.0.wants_write() {
            // Writing to a vector cannot fail.
            let _ = self.0.write_tls(&mut output);
        }
        (!output.is_empty()).then_some(output)
    }
}
