//! TLS at the gRPC front end: certificates from files, replaced while it runs.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use idnode::front::listen::tls::{TlsError, TlsFiles, TlsIdentity};
use idnode::wire::proto;
use idnode::wire::proto::administration_service_client::AdministrationServiceClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::front_end::{FrontEnd, Wishes};

/// Makes a certificate for `localhost`, puts it and its key into the files, and returns it.
fn make_certificate(files: &TlsFiles) -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    fs::write(&files.certificates, made.cert.pem()).expect("written");
    fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
    Certificate::from_pem(made.cert.pem())
}

fn files(directory: &Path) -> TlsFiles {
    TlsFiles { certificates: directory.join("node.crt"), key: directory.join("node.key") }
}

async fn connect(front_end: &FrontEnd, trusted: &Certificate) -> Result<Channel, tonic::transport::Error> {
    let tls = ClientTlsConfig::new().ca_certificate(trusted.clone()).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", front_end.address)).expect("a URL");
    endpoint.tls_config(tls).expect("a configuration").connect().await
}

/// A reload changes the certificate of connections to come; those that are open stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_replaced_while_the_front_end_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    let first = make_certificate(&files);
    let identity = Arc::new(TlsIdentity::load(files.clone()).expect("an identity"));
    let front_end =
        FrontEnd::open_with(Wishes { tls: Some(Arc::clone(&identity)), ..Wishes::default() }).await;
    let channel = connect(&front_end, &first).await.expect("the first certificate is shown");
    let mut early = AdministrationServiceClient::with_interceptor(channel, front_end.admin.clone());
    early.get_status(proto::GetStatusRequest {}).await.expect("a status");

    let second = make_certificate(&files);
    connect(&front_end, &first).await.expect("files alone change nothing");
    identity.reload().expect("reloaded");
    connect(&front_end, &first).await.expect_err("the first certificate is no longer shown");
    let channel = connect(&front_end, &second).await.expect("the second certificate is shown");
    let mut late = AdministrationServiceClient::with_interceptor(channel, front_end.admin.clone());
    late.get_status(proto::GetStatusRequest {}).await.expect("a status");
    early.get_status(proto::GetStatusRequest {}).await.expect("the open connection stays");
    drop((early, late));
    front_end.close().await;
}

/// A reload of files that are of no use changes nothing and says what is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_fails_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    let shown = make_certificate(&files);
    let identity = Arc::new(TlsIdentity::load(files.clone()).expect("an identity"));
    let front_end =
        FrontEnd::open_with(Wishes { tls: Some(Arc::clone(&identity)), ..Wishes::default() }).await;

    let elsewhere = tempfile::tempdir().expect("a directory");
    let foreign = self::files(elsewhere.path());
    make_certificate(&foreign);
    fs::copy(&foreign.key, &files.key).expect("copied");
    match identity.reload() {
        Err(TlsError::Unusable { files: named, .. }) => assert_eq!(named, files),
        other => panic!("a key of another certificate: {other:?}"),
    }
    let complaint = || identity.reload().expect_err("refused").to_string();
    let needs =
        |path: &Path, item| format!("cannot read {}: a PEM file with a {item} is needed", path.display());
    fs::copy(&foreign.certificates, &files.key).expect("copied");
    assert_eq!(complaint(), needs(&files.key, "private key"));
    fs::copy(&foreign.key, &files.certificates).expect("copied");
    assert_eq!(complaint(), needs(&files.certificates, "certificate"));
    fs::write(&files.certificates, "no certificate").expect("written");
    assert_eq!(complaint(), needs(&files.certificates, "certificate"));
    fs::remove_file(&files.key).expect("removed");
    connect(&front_end, &shown).await.expect("the certificate that was good is still shown");
    front_end.close().await;
}

/// A front end with a certificate does not accept plain text.
#[tokio::test(flavor = "multi_thread")]
async fn tls_accepts_no_plain_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    make_certificate(&files);
    let identity = Arc::new(TlsIdentity::load(files).expect("an identity"));
    let front_end = FrontEnd::open_with(Wishes { tls: Some(identity), ..Wishes::default() }).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", front_end.address)).expect("a URL");
    let asked = async {
        let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
        let mut client = AdministrationServiceClient::with_interceptor(channel, front_end.admin.clone());
        client.get_status(proto::GetStatusRequest {}).await.map_err(|status| status.to_string())
    };
    assert!(asked.await.is_err(), "a token went over plain text");
    front_end.close().await;
}
