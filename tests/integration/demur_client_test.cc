#include <gtest/gtest.h>
#include <sys/resource.h>

#include <asio/thread_pool.hpp>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "child_process.h"
#include "demur/authority/authority.h"
#include "demur/authority/enrol_server.h"
#include "demur/base/clock.h"
#include "demur/base/file.h"
#include "demur/client/config.h"
#include "demur/client/event_store.h"
#include "demur/client/key_provider.h"
#include "demur/crypto/certificate.h"
#include "demur/crypto/keys.h"
#include "demur/crypto/operator_files.h"
#include "demur/crypto/system_random.h"
#include "numbered_key.h"
#include "result_matchers.h"
#include "temporary_folder.h"

// The program demur-client as an owner of devices uses it. It reads the machine's clock, and so
// does the authority that it enrols at.
namespace demur::client {
namespace {

using testing::Child;
using testing::KeyOf;
using testing::Outcome;

class DemurClientTest : public ::testing::Test {
 protected:
  ~DemurClientTest() override {
    if (server_) server_->Stop(net::kNoLimit);
    io_.join();
    server_.reset();
  }
  // An authority whose tokens name a coordinator that is not there.
  void StartAuthority() {
    const std::string path = folder_.File("authority");
    ASSERT_OK(authority::Authority::Init(path, "test authority", clock_, random_));
    ASSERT_OK_AND_ASSIGN(authority_, authority::Authority::Open(path, clock_, random_));
    ASSERT_OK_AND_ASSIGN(const std::string request,
                         crypto::MakeCertifyRequest("coordinator.test", KeyOf(200), KeyOf(201)));
    ASSERT_OK_AND_ASSIGN(const auto parsed, crypto::ParseCertifyRequest(request));
    ASSERT_OK(authority_->Certify(parsed, {"127.0.0.1", 1}));
    ASSERT_OK_AND_ASSIGN(
        server_, authority::EnrolServer::Start(*authority_, clock_, io_.get_executor(), {}));
    ASSERT_OK_AND_ASSIGN(const SecretBytes token,
                         authority_->MakeToken({3, 3600, {"127.0.0.1", server_->port()}}));
    ASSERT_OK(WriteFileAtomically(folder_.File("token"), token.view(), FileMode::kOwnerOnly));
  }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_OK(WriteFileAtomically(folder_.File(name), AsBytes(text), FileMode::kPublic));
  }
  void WriteEvents(int devices) {
    ASSERT_OK(MakeFolder(folder_.File("events")));
    for (int i = 1; i <= devices; ++i) {
      Write("events/device-000" + std::to_string(i) + ".csv",
            "item,signal,unix_ms\n1,like,1\n2,dislike,2\n");
    }
  }
  int Run(std::vector<std::string> arguments, std::string* text) {
    arguments.push_back("--config");
    arguments.push_back(folder_.File("client.toml"));
    Outcome outcome = testing::RunToEnd(DEMUR_CLIENT, std::move(arguments));
    *text = std::move(outcome.text);
    return outcome.exit_code;
  }

  testing::TemporaryFolder folder_;
  SystemClock clock_;
  crypto::SystemRandom random_;
  asio::thread_pool io_{2};
  std::unique_ptr<authority::Authority> authority_;
  std::unique_ptr<authority::EnrolServer> server_;
};

constexpr const char* kConfig =
    "[devices]\nfolder = \"devices\"\n[enrol]\ntoken_file = \"token\"\n[data]\nevents = "
    "\"events\"\n";

TEST_F(DemurClientTest, EnrolsRunsAndPurges) {
  StartAuthority();
  WriteEvents(3);
  Write("client.toml", kConfig);
  std::string text;
  for (int run = 0; run < 2; ++run) {  // the second finds identities and events in place
    Child child(DEMUR_CLIENT, {"run", "--config", folder_.File("client.toml"), "--devices", "3"});
    ASSERT_TRUE(child.WaitFor("devices_running")) << child.text();
    child.Signal(SIGTERM);
    EXPECT_EQ(child.Finish().exit_code, 0) << child.text();
    EXPECT_NE(child.text().find("metrics devices=3 joined=0"), std::string::npos) << child.text();
    EXPECT_EQ(authority_->Count().value().devices, 3U);
  }
  EXPECT_EQ(Run({"status"}, &text), 0);
  EXPECT_NE(text.find("device-0002 device_number="), std::string::npos) << text;
  EXPECT_NE(text.find(" events=2"), std::string::npos) << text;
  EXPECT_EQ(Run({"purge", "--device", "2"}, &text), 0) << text;
  EXPECT_EQ(Run({"status"}, &text), 0);
  EXPECT_NE(text.find("device-0002 device_number=none events=0"), std::string::npos) << text;
  EXPECT_EQ(text.find("device-0001 device_number=none"), std::string::npos) << text;

  // Nobody erases every device by leaving an option out.
  EXPECT_EQ(Run({"purge"}, &text), 1);
  EXPECT_NE(text.find("--all"), std::string::npos) << text;
  EXPECT_EQ(Run({"purge", "--all", "--device", "1"}, &text), 1);
  EXPECT_EQ(Run({"status"}, &text), 0);
  EXPECT_EQ(text.find("device-0001 device_number=none"), std::string::npos) << text;
  EXPECT_EQ(Run({"purge", "--all"}, &text), 0) << text;
  EXPECT_EQ(Run({"status"}, &text), 0);
  EXPECT_NE(text.find("device-0001 device_number=none events=0"), std::string::npos) << text;
  EXPECT_NE(text.find("device-0003 device_number=none events=0"), std::string::npos) << text;
}

TEST_F(DemurClientTest, ADeviceInUseIsNamed) {
  Write("client.toml", "[devices]\nfolder = \"devices\"\n");
  const std::string folder = folder_.File("devices") + "/device-0001";
  FileKeyProvider keys(folder);
  ASSERT_OK_AND_ASSIGN(const EventStore store, EventStore::Open({folder}, keys, random_));
  std::string text;
  for (const std::vector<std::string>& verb :
       {std::vector<std::string>{"run"}, {"purge", "--all"}, {"status"}}) {
    EXPECT_EQ(Run(verb, &text), 1) << text;
    EXPECT_NE(text.find(folder), std::string::npos) << text;
    EXPECT_NE(text.find("another process"), std::string::npos) << text;
  }
}

// The certificate is put back by hand: the program reads the machine's clock.
TEST_F(DemurClientTest, AnExpiredCertificateIsRenewedWithANewToken) {
  StartAuthority();
  WriteEvents(1);
  Write("client.toml", kConfig);
  const auto run = [this](std::string* text) {
    Child child(DEMUR_CLIENT, {"run", "--config", folder_.File("client.toml")});
    if (child.WaitFor("devices_running")) child.Signal(SIGTERM);
    Outcome outcome = child.Finish();
    *text = std::move(outcome.text);
    return outcome.exit_code;
  };
  std::string text;
  ASSERT_EQ(run(&text), 0) << text;
  const std::string folder = folder_.File("devices") + "/device-0001";
  DeviceNumber number;
  {
    FileKeyProvider keys(folder);
    ASSERT_OK_AND_ASSIGN(EventStore store, EventStore::Open({folder}, keys, random_));
    ASSERT_OK_AND_ASSIGN(Identity identity, store.LoadIdentity());
    number = identity.device;
    ASSERT_OK_AND_ASSIGN(const auto issuer,
                         crypto::ReadKeyFile(folder_.File("authority") + "/authority.key"));
    ASSERT_OK_AND_ASSIGN(const auto own, crypto::Ed25519FromSeed(identity.key_seed));
    const std::int64_t now = clock_.UnixMillis() / 1000;
    ASSERT_OK_AND_ASSIGN(identity.certificate,
                         crypto::IssueDevice(issuer, identity.authority, own.public_key, number,
                                             {now - 7200, now - 3600}, crypto::Serial{}));
    ASSERT_OK(store.SaveIdentity(identity));
  }
  Write("no_token.toml", "[devices]\nfolder = \"devices\"\n");
  Child without(DEMUR_CLIENT, {"run", "--config", folder_.File("no_token.toml")});
  EXPECT_EQ(without.Finish().exit_code, 1);
  EXPECT_NE(without.text().find("device-0001: the certificate has expired"), std::string::npos)
      << without.text();
  EXPECT_NE(without.text().find("token_file"), std::string::npos) << without.text();

  EXPECT_EQ(run(&text), 0) << text;
  EXPECT_NE(text.find("device_renewed"), std::string::npos) << text;
  EXPECT_EQ(Run({"status"}, &text), 0);
  EXPECT_NE(text.find("device_number=" + std::to_string(number.value) + " events=2"),
            std::string::npos)
      << text;
  EXPECT_EQ(authority_->Count().value().devices, 1U);
}

TEST_F(DemurClientTest, SaysWhatIsWrong) {
  std::string text;
  EXPECT_EQ(Run({"run"}, &text), 1);
  EXPECT_NE(text.find("client.toml"), std::string::npos) << text;

  Write("client.toml", "[devices]\nfolder = \"devices\"\nfirts = 2\n");
  EXPECT_EQ(Run({"run"}, &text), 1);
  EXPECT_NE(text.find("client.toml:3: unknown key 'firts'"), std::string::npos) << text;

  Write("client.toml", "[devices]\nfolder = \"devices\"\n");
  EXPECT_EQ(Run({"run"}, &text), 1);
  EXPECT_NE(text.find("token_file"), std::string::npos) << text;

  Write("client.toml", kConfig);
  WriteEvents(1);
  EXPECT_EQ(Run({"run"}, &text), 1);
  EXPECT_NE(text.find("token"), std::string::npos) << text;
  Write("token", "demur1-00");
  EXPECT_EQ(Run({"run"}, &text), 1);
  EXPECT_NE(text.find("token: "), std::string::npos) << text;

  Write("events/device-0002.csv", "item,signal,unix_ms\n1,like,1\n2,love,2\n");
  EXPECT_EQ(Run({"run", "--devices", "2"}, &text), 1);
  EXPECT_NE(text.find("device-0002.csv:3: "), std::string::npos) << text;

  // Children inherit it; what this process itself needs is far less.
  const rlimit limit{1024, 4096};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(Run({"run", "--devices", "1000"}, &text), 1);
  EXPECT_NE(text.find("open files"), std::string::npos) << text;
}

TEST_F(DemurClientTest, PrintsDefaultsThatItReads) {
  Child child(DEMUR_CLIENT, {"print-defaults"});
  EXPECT_EQ(child.Finish().exit_code, 0);
  ASSERT_OK_AND_ASSIGN(const HostConfig config, ParseHostConfig(child.text(), "defaults"));
  EXPECT_EQ(config.folder, "devices");
}

}  // namespace
}  // namespace demur::client
