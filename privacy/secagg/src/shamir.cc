#include "demur/secagg/shamir.h"

#include "demur/base/check.h"
#include "demur/secagg/reed_solomon.h"

namespace demur::secagg {
namespace {

constexpr std::size_t kLimbLen = 7;  // bytes; the last limb holds what is left of 32

using Limbs = std::array<std::uint64_t, kSecretLimbs>;

template <class T>
void WipeAll(T& words) noexcept {
  Wipe(std::as_writable_bytes(std::span(words)));
}

constexpr std::size_t LimbEnd(std::size_t limb) noexcept {
  return std::min<std::size_t>((limb + 1) * kLimbLen, 32);
}

std::uint64_t LoadBig(ByteView bytes) noexcept {
  std::uint64_t value = 0;
  for (const std::byte byte : bytes) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}
void StoreBig(std::uint64_t value, std::span<std::byte> bytes) noexcept {
  for (std::size_t i = bytes.size(); i-- > 0; value >>= 8) bytes[i] = std::byte(value & 0xFFU);
}

// Uniform below 2^61 - 1 for each entry. The prime itself is the one value thrown away.
Status DrawCoefficients(RandomStream& coins, std::span<std::uint64_t> out) {
  DEMUR_RETURN_IF_ERROR(coins.Fill(std::as_writable_bytes(out)));
  for (std::uint64_t& value : out) {
    value >>= 3;
    while (value == ShareField::kPrime) {
      DEMUR_RETURN_IF_ERROR(coins.Fill(std::as_writable_bytes(std::span(&value, 1))));
      value >>= 3;
    }
  }
  return {};
}

std::uint64_t ShareLimb(const HeldShare& held, std::size_t limb) noexcept {
  return LoadBig(held.share->view().subspan(limb * 8, 8));
}

bool HasElements(const HeldShare& held) noexcept {
  bool elements = true;
  for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
    elements = elements && ShareField::IsElement(ShareLimb(held, limb));
  }
  return elements;
}

Status CheckPoints(std::span<const HeldShare> shares) {
  std::vector<std::uint32_t> xs;
  for (const HeldShare& held : shares) xs.push_back(held.x);
  std::sort(xs.begin(), xs.end());
  if (xs.front() == 0 || std::adjacent_find(xs.begin(), xs.end()) != xs.end()) {
    return Error(ErrorCode::kInvalidArgument, "share points must be distinct and not zero");
  }
  return {};
}

// kDataLoss: a limb with more bits than a secret has there.
Result<SecretArray<32>> JoinLimbs(const Limbs& limbs) {
  SecretArray<32> secret;
  bool fits = true;
  for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
    const std::size_t len = LimbEnd(limb) - limb * kLimbLen;
    fits = fits && limbs[limb] >> (8 * len) == 0;
    StoreBig(limbs[limb], secret.mutable_view().subspan(limb * kLimbLen, len));
  }
  if (!fits) return Error(ErrorCode::kDataLoss, "the shares belong to no secret");
  return secret;
}

}  // namespace

Result<std::vector<SecretShare>> SplitSecret(const SecretArray<32>& secret, std::uint32_t threshold,
                                             std::span<const std::uint32_t> xs,
                                             RandomStream& coins) {
  DEMUR_CHECK(threshold >= 1 && threshold <= xs.size(), "1 <= threshold <= shares");
  std::vector<SecretShare> shares(xs.size());
  const std::vector<std::uint64_t> points(xs.begin(), xs.end());
  DEMUR_CHECK(std::find(xs.begin(), xs.end(), 0U) == xs.end(), "0 is where the secret lies");
  std::vector<std::uint64_t> coefficients(threshold);
  std::vector<std::uint64_t> values(xs.size());
  Status status;
  for (std::size_t limb = 0; limb < kSecretLimbs && status.has_value(); ++limb) {
    status = DrawCoefficients(coins, std::span(coefficients).subspan(1));
    coefficients[0] =
        LoadBig(secret.view().subspan(limb * kLimbLen, LimbEnd(limb) - limb * kLimbLen));
    EvaluateAll<ShareField>(coefficients, points, values);
    for (std::size_t i = 0; i < xs.size(); ++i) {
      StoreBig(values[i], shares[i].mutable_view().subspan(limb * 8, 8));
    }
  }
  WipeAll(coefficients);
  WipeAll(values);
  DEMUR_RETURN_IF_ERROR(std::move(status));
  return shares;
}

Result<SecretArray<32>> OpenSecret(std::span<const HeldShare> shares) {
  if (shares.empty()) return Error(ErrorCode::kInvalidArgument, "no shares");
  std::vector<std::uint64_t> xs;
  xs.reserve(shares.size());
  for (const HeldShare& held : shares) xs.push_back(held.x);
  DEMUR_TRY(const auto weights, LagrangeAtZero<ShareField>(xs));
  Limbs limbs{};
  bool sound = true;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
      const std::uint64_t y = ShareLimb(shares[i], limb);
      sound = sound && y < ShareField::kPrime;
      limbs[limb] =
          ShareField::Add(limbs[limb], ShareField::Mul(weights[i], y & ShareField::kPrime));
    }
  }
  auto secret = JoinLimbs(limbs);
  WipeAll(limbs);
  if (!sound) return Error(ErrorCode::kInvalidArgument, "a share is no element of the field");
  return secret;
}

Result<RobustOpening> OpenSecretRobust(std::span<const HeldShare> shares, std::uint32_t threshold) {
  if (threshold == 0 || shares.size() < threshold) {
    return Error(ErrorCode::kInvalidArgument, "fewer shares than the threshold");
  }
  DEMUR_RETURN_IF_ERROR(CheckPoints(shares));
  const std::size_t radius = (shares.size() - threshold) / 2;
  std::vector<bool> wrong(shares.size());
  std::vector<std::size_t> used;  // positions of the shares whose limbs are elements
  std::vector<std::uint64_t> points;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    wrong[i] = !HasElements(shares[i]);
    if (wrong[i]) continue;
    used.push_back(i);
    points.push_back(shares[i].x);
  }
  const Error too_many(ErrorCode::kDataLoss, "more wrong shares than can be told from right ones");
  if (shares.size() - used.size() > radius) return too_many;
  DEMUR_TRY(const auto code, ReedSolomon<ShareField>::Create(points));
  Limbs limbs{};
  std::vector<std::uint64_t> values(used.size());
  for (std::size_t limb = 0; limb < kSecretLimbs; ++limb) {
    std::transform(used.begin(), used.end(), values.begin(),
                   [&](std::size_t i) { return ShareLimb(shares[i], limb); });
    const auto decoded = code.Decode(values, threshold);
    if (!decoded) return too_many;
    limbs[limb] = decoded->coefficients[0];
    for (const std::size_t at : decoded->wrong) wrong[used[at]] = true;
  }
  // Each limb alone is within the radius; the shares that are wrong in any of them must be too.
  if (static_cast<std::size_t>(std::count(wrong.begin(), wrong.end(), true)) > radius) {
    return too_many;
  }
  RobustOpening opening;
  DEMUR_TRY(opening.secret, JoinLimbs(limbs));
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (wrong[i]) opening.wrong_points.push_back(shares[i].x);
  }
  return opening;
}

}  // namespace demur::secagg
