#pragma once

#include <map>
#include <string>
#include <vector>

#include "assertions/generate/snippet.h"

namespace callie::assertions {

/// base[high:low], or base[high] where they are one bit.
ast::Expr part(ast::Expr base, int high, int low);

/// Makes conditions and right sides of a snippet over inputs that it adds where none fits.
class Author {
 public:
  Author(Dice& dice, Snippet& snippet, Names& names) : dice(dice), snippet(snippet), names(names) {}

  /// A width of a register, 2 to 32.
  int width();
  /// An input of the role and width, old or new.
  std::string input(Names::Role role, int width);
  /// A new signal that the snippet assigns.
  std::string target(Names::Role role, int width, ast::Direction direction = ast::Direction::kOutput);
  ast::Expr constant(int width);
  ast::Expr nonzero(int width);
  ast::Expr condition();
  /// An expression of exactly `width` bits by itself.
  ast::Expr value(int width);
  /// A register or input of the width.
  std::string source(int width);

  Dice& dice;
  Snippet& snippet;
  Names& names;
  std::vector<std::string> readable;   ///< registers
  std::map<std::string, Names::Role> roles;
  int inputs = 0;

 private:
  ast::Expr atom_condition();
  int vector_width();
  std::string other(const std::string& than, int width);
};

}  // namespace callie::assertions
