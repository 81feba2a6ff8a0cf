#include "demur/simulations/secagg_session.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "../../support/result_matchers.h"

namespace demur::sim {
namespace {

SecAggOptions Small() {
  SecAggOptions options;
  options.clients = 24;
  options.dim = 64;
  options.bits = 18;
  options.dropout_permille = 200;
  options.corrupt_permille = 50;
  return options;
}

SecAggFigures Session(const SecAggOptions& options) {
  auto figures = RunSecAggSession(options);
  EXPECT_TRUE(figures.has_value()) << figures.error().message();
  return figures ? *std::move(figures) : SecAggFigures{};
}

TEST(SecAggSessionTest, TheSumIsExactWheneverTheDesignShareLeaves) {
  for (const LeaveAt at : {LeaveAt::kAny, LeaveAt::kShares, LeaveAt::kMasked, LeaveAt::kUnmask}) {
    SecAggOptions options = Small();
    options.leave_at = at;
    options.seed = 100 + static_cast<std::uint64_t>(at);
    const SecAggFigures figures = Session(options);
    EXPECT_TRUE(figures.ok) << figures.abort;
    EXPECT_EQ(figures.exact, true);
    EXPECT_EQ(figures.left, 4u);  // floor(0.2 * 24)
    EXPECT_EQ(figures.faults, 0u);
    EXPECT_EQ(figures.rounds, 4u);
    if (at == LeaveAt::kAny) continue;  // between the two below
    EXPECT_EQ(figures.survivors, at == LeaveAt::kUnmask ? 24u : 20u);
  }
}

TEST(SecAggSessionTest, MoreThanTheDesignShareEndsInANamedAbort) {
  struct Case {
    LeaveAt at;
    const char* abort;
  };
  for (const auto& [at, abort] :
       {Case{LeaveAt::kShares, "too few members shared"},
        Case{LeaveAt::kMasked, "too few survivors"}, Case{LeaveAt::kUnmask, "too few shares"}}) {
    SecAggOptions options = Small();
    options.leave_permille = 800;
    options.leave_at = at;
    const SecAggFigures figures = Session(options);
    EXPECT_FALSE(figures.ok);
    EXPECT_EQ(figures.exact, std::nullopt);
    EXPECT_EQ(figures.abort, abort);
    EXPECT_EQ(figures.left, 19u);
  }
}

TEST(SecAggSessionTest, FiguresAreOfTheFramesAndTheClocks) {
  SecAggOptions options = Small();
  options.leave_permille = 0;
  const SecAggFigures small = Session(options);
  options.dim += 64 * 64;
  const SecAggFigures large = Session(options);
  // Only M5 holds the vector, and M0's plan does not list coordinates.
  EXPECT_EQ(large.client_upload_bytes - small.client_upload_bytes, 64u * 64 * 18 / 8);
  EXPECT_LE(large.client_download_bytes - small.client_download_bytes, 16u);
  EXPECT_GT(small.client_cpu_ms.median, small.client_certificate_ms);
  EXPECT_GE(small.client_cpu_ms.p95, small.client_cpu_ms.median);
  EXPECT_GT(small.client_certificate_ms, 0);
  EXPECT_GT(small.server_ingest_s, 0);
  EXPECT_GT(small.server_unmask_s, 0);
  double server = 0;
  for (const auto& [name, seconds] : small.server_cpu_s) server += seconds;
  EXPECT_GT(server, small.server_ingest_s + small.server_unmask_s);
  EXPECT_GT(small.server_peak_bytes, 0u);
}

TEST(SecAggSessionTest, ASeedRepeatsTheSession) {
  SecAggOptions options = Small();
  options.leave_at = LeaveAt::kAny;
  const SecAggFigures one = Session(options);
  const SecAggFigures again = Session(options);
  EXPECT_EQ(one.survivors, again.survivors);
  EXPECT_EQ(one.client_upload_bytes, again.client_upload_bytes);
  EXPECT_EQ(one.client_download_bytes, again.client_download_bytes);
}

TEST(SecAggSessionTest, AWrongSumIsNoticed) {
  const SecAggOptions options = Small();
  const auto says = [&options](std::vector<std::uint32_t> devices,
                               const std::vector<std::uint32_t>& sum) {
    const auto exact = IsSumOf(options, devices, sum);
    EXPECT_OK(exact);
    return exact && *exact;
  };
  std::vector<std::uint32_t> sum(options.dim);
  EXPECT_TRUE(says({}, sum));
  EXPECT_FALSE(says({0, 1}, sum));  // inputs are uniform and do not add up to zero
  sum.back() ^= 1;
  EXPECT_FALSE(says({}, sum));
  sum.pop_back();
  EXPECT_FALSE(says({}, sum));
}

TEST(SecAggParametersTest, AreThoseOfThePublishedRule) {
  constexpr auto kRing = model::SecAggProfile::kSemiHonest;
  const auto few = FindSecAggParameters(1000, 50, 50, kRing);
  ASSERT_TRUE(few.has_value());
  EXPECT_EQ(few->neighbours, 30u);
  EXPECT_EQ(few->threshold, 17u);
  EXPECT_EQ(few->label, "published");
  EXPECT_EQ(ToJson(*few).Dump(),
            R"({"k":30,"t":17,"committee":null,"q":null,"label":"published"})");
  const auto many = FindSecAggParameters(1000, 50, 300, kRing);
  ASSERT_TRUE(many.has_value());
  EXPECT_EQ(many->neighbours, 66u);
  EXPECT_EQ(many->threshold, 23u);
}

void ExpectBlames(const SecAggOptions& options, const char* flag) {
  const auto figures = RunSecAggSession(options);
  ASSERT_FALSE(figures.has_value()) << flag;
  EXPECT_EQ(figures.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(figures.error().message().rfind(flag, 0), 0u) << figures.error().message();
}

TEST(SecAggSessionTest, BadInputNamesItsFlag) {
  SecAggOptions options = Small();
  options.clients = 19;
  ExpectBlames(options, "--clients: ");
  options = Small();
  options.corrupt_permille = 501;
  ExpectBlames(options, "--corrupt: ");
  options = Small();
  options.dropout_permille = 501;
  ExpectBlames(options, "--dropout: ");
  options = Small();
  options.dim = 0;
  ExpectBlames(options, "--dim: ");
  options = Small();
  options.bits = 33;
  ExpectBlames(options, "--bits: ");
  options = Small();
  options.leave_permille = 1001;
  ExpectBlames(options, "--leave: ");
  options = Small();
  options.corrupt_permille = 500;
  options.dropout_permille = 500;
  ExpectBlames(options, "--clients, --corrupt and --dropout ");
}

}  // namespace
}  // namespace demur::sim
