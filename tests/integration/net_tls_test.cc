#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <asio/use_awaitable.hpp>
#include <atomic>

#include "demur/crypto/hash.h"
#include "net_fixture.h"

// Who is believed and who is not, over real sockets.
namespace demur::net {
namespace {

using testing::FakeClock;
using testing::TestPki;

class TlsTest : public NetTest {
 protected:
  void ServeEcho(TlsContext context) {
    Serve(std::move(context), [this](StreamPtr stream) {
      ++admitted_;
      return Echo(std::move(stream));
    });
  }
  Status Try(TlsContext context, std::string name = std::string(TestPki::kServerName)) {
    auto frame = Run(Exchange(To(std::move(name)), std::move(context), Bytes(100, std::byte{1})));
    return frame ? Status() : Status(std::move(frame).error());
  }
  Hash256 Pin() const { return crypto::Sha256(pki_.authority()); }

  std::atomic<int> admitted_{0};
};

TEST_F(TlsTest, DeviceAndCoordinatorOfOneAuthorityTalk) {
  ServeEcho(ServerContext());
  EXPECT_OK(Try(ClientContext()));
  EXPECT_OK(Try(ClientContext(), "127.0.0.1"));  // the certificate names the address too
  EXPECT_EQ(admitted_, 2);
}
TEST_F(TlsTest, DeviceOfAForeignAuthorityIsRefused) {
  ServeEcho(ServerContext());
  const TestPki foreign(2);
  EXPECT_ERROR(Try(ClientContext(foreign.Device())), ErrorCode::kPermissionDenied);
  EXPECT_EQ(admitted_, 0);
}
TEST_F(TlsTest, ServerOfAForeignAuthorityIsRefused) {
  const TestPki foreign(2);
  ServeEcho(ServerContext(foreign.Server()));
  EXPECT_ERROR(Try(ClientContext()), ErrorCode::kPermissionDenied);
  EXPECT_EQ(admitted_, 0);
}
TEST_F(TlsTest, ServerUnderAnotherNameIsRefused) {
  ServeEcho(ServerContext());
  EXPECT_ERROR(Try(ClientContext(), "elsewhere.test"), ErrorCode::kPermissionDenied);
  EXPECT_ERROR(Try(ClientContext(), "127.0.0.2"), ErrorCode::kPermissionDenied);
  EXPECT_ERROR(Try(ClientContext(), "sub.coordinator.test"), ErrorCode::kPermissionDenied);
  EXPECT_EQ(admitted_, 0);
}
TEST_F(TlsTest, ServerCertificateIsNoDevice) {
  ServeEcho(ServerContext());
  EXPECT_ERROR(Try(ClientContext(pki_.Server())), ErrorCode::kPermissionDenied);
  EXPECT_EQ(admitted_, 0);
}
TEST_F(TlsTest, DeviceCertificateIsNoServer) {
  ServeEcho(ServerContext(pki_.Device()));
  EXPECT_ERROR(Try(ClientContext()), ErrorCode::kPermissionDenied);
}
TEST_F(TlsTest, ExpiredCertificatesAreRefusedByTheInjectedClock) {
  ServeEcho(ServerContext());
  clock_.Advance(std::chrono::hours(25));
  EXPECT_ERROR(Try(ClientContext()), ErrorCode::kPermissionDenied);
  clock_.Advance(-std::chrono::hours(27));
  EXPECT_ERROR(Try(ClientContext()), ErrorCode::kPermissionDenied);
  EXPECT_EQ(admitted_, 0);
}

// A device certificate of the right authority with `usage`, or with none: no Issue function of ours
// would make it.
Bytes IssueRaw(const TestPki& pki, const char* usage) {
  const SecretBytes authority_der = crypto::PrivateKeyToDer(pki.authority_key());
  const SecretBytes device_der = crypto::PrivateKeyToDer(pki.Key(7));
  const auto read_key = [](const SecretBytes& der) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.view().data());
    return d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size()));
  };
  EVP_PKEY* authority_key = read_key(authority_der);
  EVP_PKEY* device_key = read_key(device_der);
  const auto* at = reinterpret_cast<const unsigned char*>(pki.authority().data());
  X509* authority = d2i_X509(nullptr, &at, static_cast<long>(pki.authority().size()));
  X509* cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 99);
  ASN1_TIME_set(X509_getm_notBefore(cert), FakeClock::kStart / 1000 - 60);
  ASN1_TIME_set(X509_getm_notAfter(cert), FakeClock::kStart / 1000 + 3600);
  X509_set_pubkey(cert, device_key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("demur-device-7"), -1, -1, 0);
  X509_set_issuer_name(cert, X509_get_subject_name(authority));
  if (usage != nullptr) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_ext_key_usage, usage);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(cert, authority_key, nullptr);
  unsigned char* der = nullptr;
  const int len = i2d_X509(cert, &der);
  const Bytes out = ToBytes(std::as_bytes(std::span(der, static_cast<std::size_t>(len))));
  OPENSSL_free(der);
  X509_free(cert);
  X509_free(authority);
  EVP_PKEY_free(authority_key);
  EVP_PKEY_free(device_key);
  return out;
}

TEST_F(TlsTest, CertificateWithoutAUsageOrWithBothIsNoDevice) {
  ServeEcho(ServerContext());
  EXPECT_OK(Try(ClientContext({IssueRaw(pki_, "clientAuth"), pki_.Device().private_key.Clone()})));
  for (const char* usage : {static_cast<const char*>(nullptr), "clientAuth,serverAuth"}) {
    EXPECT_ERROR(Try(ClientContext({IssueRaw(pki_, usage), pki_.Device().private_key.Clone()})),
                 ErrorCode::kPermissionDenied);
  }
  EXPECT_EQ(admitted_, 1);
}

asio::awaitable<void> ReportPeer(StreamPtr stream, std::shared_ptr<std::promise<Bytes>> seen) {
  auto certificate = stream->PeerCertificate();
  seen->set_value(certificate ? std::move(*certificate) : Bytes());
  co_await stream->Finish(kLong);
}
asio::awaitable<Result<Bytes>> ServerCertificateSeen(ConnectOptions options, TlsContext context) {
  DEMUR_CO_TRY(auto stream, co_await Connect(std::move(options), std::move(context)));
  auto certificate = stream->PeerCertificate();
  co_await stream->Finish(kLong);
  co_return certificate;
}
TEST_F(TlsTest, BothSidesSeeThePeersCertificate) {
  auto seen = std::make_shared<std::promise<Bytes>>();
  Serve(ServerContext(), [seen](StreamPtr stream) { return ReportPeer(std::move(stream), seen); });
  ASSERT_OK_AND_ASSIGN(const Bytes server, Run(ServerCertificateSeen(To(), ClientContext())));
  EXPECT_EQ(server, pki_.Server().certificate);
  EXPECT_EQ(seen->get_future().get(), pki_.Device().certificate);
}

// A client of OpenSSL's own with blocking calls, which shows no certificate and checks nothing.
// True: the server let it read a byte.
bool AnonymousClientIsServed(std::uint16_t port, int max_version) {
  SSL_CTX* ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_max_proto_version(ctx, max_version);
  const std::string address = "127.0.0.1:" + std::to_string(port);
  BIO* bio = BIO_new_ssl_connect(ctx);
  BIO_set_conn_hostname(bio, address.c_str());
  bool served = false;
  if (BIO_do_connect(bio) == 1 && BIO_do_handshake(bio) == 1) {
    const auto header = wire::EncodeFrameHeader({0, wire::FrameType::kHello});
    BIO_write(bio, header.data(), static_cast<int>(header.size()));
    char byte = 0;
    served = BIO_read(bio, &byte, 1) == 1;
  }
  BIO_free_all(bio);
  SSL_CTX_free(ctx);
  return served;
}
TEST_F(TlsTest, CallerWithoutACertificateIsRefused) {
  ServeEcho(ServerContext());
  EXPECT_FALSE(AnonymousClientIsServed(listener_->port(), TLS1_3_VERSION));
  EXPECT_EQ(admitted_, 0);
}
TEST_F(TlsTest, OnlyTheEnrolmentListenerServesCallersWithoutACertificateAndOnlyOverTls13) {
  ServeEcho(TlsContext::EnrolmentServer(pki_.Server(), pki_.authority(), clock_).value());
  EXPECT_TRUE(AnonymousClientIsServed(listener_->port(), TLS1_3_VERSION));
  EXPECT_FALSE(AnonymousClientIsServed(listener_->port(), TLS1_2_VERSION));
  EXPECT_EQ(admitted_, 1);
}

asio::awaitable<Result<Bytes>> AuthoritySeen(ConnectOptions options, TlsContext context) {
  DEMUR_CO_TRY(auto stream, co_await Connect(std::move(options), std::move(context)));
  auto authority = stream->PeerAuthority();
  co_await stream->Finish(kLong);
  co_return authority;
}
TEST_F(TlsTest, EnrolmentClientBelievesThePinnedAuthorityAndLearnsItsCertificate) {
  ServeEcho(TlsContext::EnrolmentServer(pki_.Server(), pki_.authority(), clock_).value());
  ASSERT_OK_AND_ASSIGN(const TlsContext client, TlsContext::EnrolmentClient(Pin(), clock_));
  ASSERT_OK_AND_ASSIGN(const Bytes authority, Run(AuthoritySeen(To(), client)));
  EXPECT_EQ(authority, pki_.authority());
  EXPECT_OK(Try(client));
}
TEST_F(TlsTest, EnrolmentClientRefusesAnotherAuthority) {
  const TestPki foreign(2);
  ServeEcho(TlsContext::EnrolmentServer(foreign.Server(), foreign.authority(), clock_).value());
  ASSERT_OK_AND_ASSIGN(const TlsContext client, TlsContext::EnrolmentClient(Pin(), clock_));
  EXPECT_ERROR(Try(client), ErrorCode::kPermissionDenied);
}
TEST_F(TlsTest, EnrolmentClientRefusesAServerThatOnlyShowsThePinnedCertificate) {
  const TestPki foreign(2);  // its leaf, with the pinned authority beside it
  ServeEcho(TlsContext::EnrolmentServer(foreign.Server(), pki_.authority(), clock_).value());
  ASSERT_OK_AND_ASSIGN(const TlsContext client, TlsContext::EnrolmentClient(Pin(), clock_));
  EXPECT_ERROR(Try(client), ErrorCode::kPermissionDenied);
}
TEST_F(TlsTest, EnrolmentClientChecksNameUsageAndTimeToo) {
  ServeEcho(TlsContext::EnrolmentServer(pki_.Server(), pki_.authority(), clock_).value());
  ASSERT_OK_AND_ASSIGN(const TlsContext client, TlsContext::EnrolmentClient(Pin(), clock_));
  EXPECT_ERROR(Try(client, "elsewhere.test"), ErrorCode::kPermissionDenied);
  clock_.Advance(std::chrono::hours(25));
  EXPECT_ERROR(Try(client), ErrorCode::kPermissionDenied);
}
TEST_F(TlsTest, EnrolmentClientRefusesADeviceThatPlaysServer) {
  ServeEcho(TlsContext::EnrolmentServer(pki_.Device(), pki_.authority(), clock_).value());
  ASSERT_OK_AND_ASSIGN(const TlsContext client, TlsContext::EnrolmentClient(Pin(), clock_));
  EXPECT_ERROR(Try(client), ErrorCode::kPermissionDenied);
}

TEST_F(TlsTest, IdentitiesMayBePemAndMustFit) {
  const TlsIdentity device = pki_.Device();
  const std::string pem = crypto::ToPem(crypto::kPemCertificate, device.certificate);
  const std::string key = crypto::ToPem("PRIVATE KEY", device.private_key.view());
  const TlsIdentity as_pem{ToBytes(AsBytes(pem)), SecretBytes::CopyOf(AsBytes(key))};
  EXPECT_OK(TlsContext::Mutual(Role::kClient, as_pem, pki_.authority(), clock_));

  const TlsIdentity mixed{pki_.Device(8).certificate, device.private_key.Clone()};
  EXPECT_ERROR(TlsContext::Mutual(Role::kClient, mixed, pki_.authority(), clock_),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(TlsContext::Mutual(Role::kClient, TlsIdentity{}, pki_.authority(), clock_),
               ErrorCode::kInvalidArgument);
  EXPECT_ERROR(TlsContext::Mutual(Role::kClient, device, AsBytes("nonsense"), clock_),
               ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace demur::net
