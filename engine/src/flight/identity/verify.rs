//! Peers are checked by what their certificate says they are, not by the name that they were reached by.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

/// Clients with a certificate of the cluster that has one name.
#[derive(Debug)]
pub struct OnlyClients {
    chain: Arc<dyn ClientCertVerifier>,
    name: ServerName<'static>,
}

impl OnlyClients {
    pub fn new(roots: &Arc<RootCertStore>, provider: &Arc<CryptoProvider>, name: ServerName<'static>) -> Result<Self, Error> {
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider)).build().map_err(broken)?;
        Ok(Self { chain, name })
    }
}

impl ClientCertVerifier for OnlyClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, &self.name)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Servers with a certificate of the cluster that has one name.
#[derive(Debug)]
pub struct OnlyServers {
    chain: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl OnlyServers {
    pub fn new(roots: &Arc<RootCertStore>, provider: &Arc<CryptoProvider>, name: ServerName<'static>) -> Result<Self, Error> {
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider)).build().map_err(broken)?;
        Ok(Self { chain, name })
    }
}

impl ServerCertVerifier for OnlyServers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.chain.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// There is always an authority to check against.
fn broken(error: VerifierBuilderError) -> Error {
    Error::General(error.to_string())
}
