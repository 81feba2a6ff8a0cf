#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>
#include <csignal>
#include <string>
#include <vector>

#include "child_process.h"
#include "demur/base/file.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/operator_files.h"
#include "enrol_client.h"
#include "fake_clock.h"
#include "numbered_key.h"
#include "result_matchers.h"
#include "temporary_folder.h"

// The program demur-ca as an operator uses it. The program reads the machine's clock; the test
// takes its own present from the certificate that the program made.
namespace demur {
namespace {

using testing::Child;
using testing::KeyOf;
using testing::Outcome;

Outcome RunCa(std::vector<std::string> arguments) {
  return testing::RunToEnd(DEMUR_CA, std::move(arguments));
}

class DemurCaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const Outcome made = RunCa({"init", "--dir", dir_, "--name", "my authority"});
    ASSERT_EQ(made.exit_code, 0) << made.text;
    ASSERT_OK_AND_ASSIGN(const Bytes ca, crypto::ReadCertificateFile(dir_ + "/ca.pem"));
    // Two hours in: after the certificates made from now on, which start an hour back.
    const std::int64_t now = crypto::ParseCertificate(ca)->validity.not_before + 7200;
    clock_.Advance(std::chrono::milliseconds(1000 * now - clock_.UnixMillis()));
    ASSERT_OK_AND_ASSIGN(const std::string request,
                         crypto::MakeCertifyRequest("coordinator.test", KeyOf(200), KeyOf(201)));
    ASSERT_OK(WriteFileAtomically(request_, AsBytes(request), FileMode::kPublic));
  }
  Outcome Certify() {
    return RunCa({"certify", "--dir", dir_, "--request", request_, "--out",
                  folder_.File("server.pem"), "--address", "127.0.0.1:7002"});
  }
  Outcome MakeToken(const std::string& enrol_address) {
    return RunCa({"token", "--dir", dir_, "--devices", "2", "--expires-hours", "1",
                  "--enrol-address", enrol_address, "--out", token_});
  }

  testing::TemporaryFolder folder_;
  const std::string dir_ = folder_.File("ca");
  const std::string request_ = folder_.File("server.request");
  const std::string token_ = folder_.File("token");
  testing::FakeClock clock_;
};

TEST_F(DemurCaTest, FromInitToAnEnrolledDeviceAndItsRevocation) {
  const Outcome certified = Certify();
  ASSERT_EQ(certified.exit_code, 0) << certified.text;
  ASSERT_OK_AND_ASSIGN(const Bytes ca, crypto::ReadCertificateFile(dir_ + "/ca.pem"));
  ASSERT_OK_AND_ASSIGN(const Bytes server, crypto::ReadCertificateFile(folder_.File("server.pem")));
  EXPECT_OK(crypto::VerifyCertificate(server, ca, clock_.UnixMillis() / 1000,
                                      crypto::CertificateKind::kServer));

  const std::string port_file = folder_.File("port");
  Child serving(DEMUR_CA,
                {"serve", "--dir", dir_, "--listen", "127.0.0.1:0", "--port-file", port_file});
  ASSERT_TRUE(serving.WaitFor("enrolment_open")) << serving.Finish().text;
  ASSERT_OK_AND_ASSIGN(std::string port, ReadTextFile(port_file, 10));
  port.pop_back();  // the line break
  const Outcome made = MakeToken("127.0.0.1:" + port);
  ASSERT_EQ(made.exit_code, 0) << made.text;
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadTextFile(token_, 2000));
  EXPECT_EQ(made.text.find("demur1-"), std::string::npos) << "a token is a secret";
  ASSERT_OK_AND_ASSIGN(const wire::Token token, wire::ParseToken(text));

  asio::thread_pool pool(1);
  const Bytes body = ToBytes(testing::EnrolBody(KeyOf(1), token).view());
  auto context = net::TlsContext::EnrolmentClient(token.authority_sha256, clock_).value();
  ASSERT_OK_AND_ASSIGN(const testing::Enrolled enrolled,
                       asio::co_spawn(asio::make_strand(pool),
                                      testing::SendToAuthority(token.authority, std::move(context),
                                                               wire::FrameType::kEnrol, body),
                                      asio::use_future)
                           .get());
  EXPECT_EQ(enrolled.reply.device, DeviceNumber(1));

  const Outcome revoked = RunCa({"revoke", "--dir", dir_, "--device", "1"});
  EXPECT_EQ(revoked.exit_code, 0) << revoked.text;
  ASSERT_OK_AND_ASSIGN(const std::string list, ReadTextFile(dir_ + "/revoked.json", 10000));
  EXPECT_TRUE(crypto::ParseRevocationList(list, crypto::ParseCertificate(ca)->public_key)
                  ->Contains(DeviceNumber(1)));

  const Outcome closed = RunCa({"close-epoch", "--dir", dir_});
  EXPECT_EQ(closed.exit_code, 0) << closed.text;
  EXPECT_NE(closed.text.find("epoch 1 closed: 1 enrolled, 0 active"), std::string::npos)
      << closed.text;
  EXPECT_OK(ReadFile(dir_ + "/population.statement", 1000));
  const Outcome proof = RunCa({"prove", "--dir", dir_, "--device", "1"});
  EXPECT_EQ(proof.exit_code, 1) << "it was revoked: " << proof.text;

  serving.Signal(SIGTERM);
  const Outcome stopped = serving.Finish();
  EXPECT_EQ(stopped.exit_code, 0) << stopped.text;
  EXPECT_NE(stopped.text.find("enrolment_closed"), std::string::npos) << stopped.text;
}

TEST_F(DemurCaTest, InitRefusesAFolderThatHasAnAuthority) {
  ASSERT_OK_AND_ASSIGN(const Bytes key, ReadFile(dir_ + "/authority.key", 1000));
  const Outcome again = RunCa({"init", "--dir", dir_});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_NE(again.text.find("authority.key"), std::string::npos) << again.text;
  EXPECT_EQ(ReadFile(dir_ + "/authority.key", 1000).value(), key);
}
TEST_F(DemurCaTest, ErrorsNameTheirCauseAndExitWithOne) {
  const auto fails = [](const Outcome& outcome, const std::string& word) {
    EXPECT_EQ(outcome.exit_code, 1) << outcome.text;
    EXPECT_NE(outcome.text.find(word), std::string::npos) << outcome.text;
  };
  fails(MakeToken("127.0.0.1:1"), "certify");
  fails(MakeToken("nonsense"), "host:port");
  fails(RunCa({"revoke", "--dir", dir_, "--device", "9"}), "no device 9");
  fails(RunCa({"close-epoch", "--dir", dir_}), "nobody is enrolled");
  fails(RunCa({"prove", "--dir", dir_, "--device", "1"}), "close-epoch");
  fails(RunCa({"serve", "--dir", folder_.File("none")}), "authority.key");
  fails(RunCa({"serve", "--dir", dir_, "--listen", "127.0.0.1"}), "host:port");
  fails(RunCa({"init", "--dir", folder_.File("x"), "--log-level", "loud"}), "loud");
  ASSERT_OK(WriteFileAtomically(request_, AsBytes("{}"), FileMode::kPublic));
  fails(Certify(), request_);
}
TEST_F(DemurCaTest, UnknownVerbsAndMissingOptionsAreRefused) {
  EXPECT_NE(RunCa({}).exit_code, 0);
  EXPECT_NE(RunCa({"steal", "--dir", dir_}).exit_code, 0);
  EXPECT_NE(RunCa({"init"}).exit_code, 0);
  EXPECT_NE(RunCa({"revoke", "--dir", dir_, "--device", "-1"}).exit_code, 0);
  EXPECT_NE(RunCa({"token", "--dir", dir_, "--expires-hours", "1e300", "--enrol-address",
                   "127.0.0.1:1", "--out", token_})
                .exit_code,
            0);
  EXPECT_EQ(RunCa({"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace demur
