//! TLS at the gRPC door: certificates from files, exchanged while the door is open.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use idnode::front::listen::tls::{TlsError, TlsFiles, TlsIdentity};
use idnode::wire::proto;
use idnode::wire::proto::administration_service_client::AdministrationServiceClient;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::door::{Door, Wishes};

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

async fn connect(door: &Door, trusted: &Certificate) -> Result<Channel, tonic::transport::Error> {
    let tls = ClientTlsConfig::new().ca_certificate(trusted.clone()).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", door.address)).expect("a URL");
    endpoint.tls_config(tls).expect("a configuration").connect().await
}

/// A reload changes the certificate of connections to come; those that are open stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_exchanged_while_the_door_is_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    let first = make_certificate(&files);
    let identity = Arc::new(TlsIdentity::load(files.clone()).expect("an identity"));
    let door = Door::open_with(Wishes { tls: Some(Arc::clone(&identity)), ..Wishes::default() }).await;
    let channel = connect(&door, &first).await.expect("the first certificate is shown");
    let mut early = AdministrationServiceClient::with_interceptor(channel, door.admin.clone());
    early.get_status(proto::GetStatusRequest {}).await.expect("a status");

    let second = make_certificate(&files);
    connect(&door, &first).await.expect("files alone change nothing");
    identity.reload().expect("reloaded");
    connect(&door, &first).await.expect_err("the first certificate is no longer shown");
    let channel = connect(&door, &second).await.expect("the second certificate is shown");
    let mut late = AdministrationServiceClient::with_interceptor(channel, door.admin.clone());
    late.get_status(proto::GetStatusRequest {}).await.expect("a status");
    early.get_status(proto::GetStatusRequest {}).await.expect("the open connection stays");
    drop((early, late));
    door.close().await;
}

/// A reload of files that are of no use changes nothing and says what is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_fails_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    let shown = make_certificate(&files);
    let identity = Arc::new(TlsIdentity::load(files.clone()).expect("an identity"));
    let door = Door::open_with(Wishes { tls: Some(Arc::clone(&identity)), ..Wishes::default() }).await;

    let elsewhere = tempfile::tempdir().expect("a directory");
    let foreign = self::files(elsewhere.path());
    make_certificate(&foreign);
    fs::copy(&foreign.key, &files.key).expect("copied");
    match identity.reload() {
        Err(TlsError::Unusable { files: named, .. }) => assert_eq!(named, files),
        other => panic!("a key of another certificate: {other:?}"),
    }
    let told = || identity.reload().expect_err("refused").to_string();
    let needs =
        |path: &Path, item| format!("cannot read {}: a PEM file with a {item} is needed", path.display());
    fs::copy(&foreign.certificates, &files.key).expect("copied");
    assert_eq!(told(), needs(&files.key, "private key"));
    fs::copy(&foreign.key, &files.certificates).expect("copied");
    assert_eq!(told(), needs(&files.certificates, "certificate"));
    fs::write(&files.certificates, "no certificate").expect("written");
    assert_eq!(told(), needs(&files.certificates, "certificate"));
    fs::remove_file(&files.key).expect("removed");
    connect(&door, &shown).await.expect("the certificate that was good is still shown");
    door.close().await;
}

/// A door with a certificate does not speak plain text.
#[tokio::test(flavor = "multi_thread")]
async fn a_tls_door_speaks_no_plain_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = files(directory.path());
    make_certificate(&files);
    let identity = Arc::new(TlsIdentity::load(files).expect("an identity"));
    let door = Door::open_with(Wishes { tls: Some(identity), ..Wishes::default() }).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", door.address)).expect("a URL");
    let asked = async {
        let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
        let mut client = AdministrationServiceClient::with_interceptor(channel, door.admin.clone());
        client.get_status(proto::GetStatusRequest {}).await.map_err(|status| status.to_string())
    };
    assert!(asked.await.is_err(), "a token went over plain text");
    door.close().await;
}
