#pragma once

#include <algorithm>
#include <cmath>

// The arithmetic of the tail bounds (parameters.cc, cohort.cc). Private to the part. Value type.
namespace demur::secagg::internal {

// A non-negative number with an exponent of its own: probabilities here go down to 2^-4000, far
// below the smallest double. frexp and ldexp are exact, so every result is one rounding of IEEE
// operations and the same on every machine.
class Scaled {
 public:
  Scaled() = default;
  explicit Scaled(double value) : mantissa_(value) { Normalise(); }
  static Scaled PowerOfTwo(int exponent) {
    Scaled out(1.0);
    out.exponent_ += exponent;
    return out;
  }

  Scaled& operator*=(const Scaled& other) {
    mantissa_ *= other.mantissa_;
    exponent_ += other.exponent_;
    Normalise();
    return *this;
  }
  Scaled& operator/=(double divisor) {
    mantissa_ /= divisor;
    Normalise();
    return *this;
  }
  Scaled& operator*=(double factor) {
    mantissa_ *= factor;
    Normalise();
    return *this;
  }
  Scaled& operator+=(const Scaled& other) {
    if (other.mantissa_ == 0) return *this;
    if (mantissa_ == 0) return *this = other;
    const Scaled& large = exponent_ >= other.exponent_ ? *this : other;
    const Scaled& small = exponent_ >= other.exponent_ ? other : *this;
    const long gap = std::min(large.exponent_ - small.exponent_, 2000L);
    mantissa_ = large.mantissa_ + std::ldexp(small.mantissa_, -static_cast<int>(gap));
    exponent_ = large.exponent_;
    Normalise();
    return *this;
  }
  friend bool operator<(const Scaled& a, const Scaled& b) {
    if (a.mantissa_ == 0 || b.mantissa_ == 0) return a.mantissa_ < b.mantissa_;
    if (a.exponent_ != b.exponent_) return a.exponent_ < b.exponent_;
    return a.mantissa_ < b.mantissa_;
  }

 private:
  void Normalise() {
    int shift = 0;
    mantissa_ = std::frexp(mantissa_, &shift);
    exponent_ = mantissa_ == 0 ? 0 : exponent_ + shift;
  }
  double mantissa_ = 0;
  long exponent_ = 0;
};

}  // namespace demur::secagg::internal
