#include "assertions/elaborate/elaborator.h"

namespace callie::assertions {

using ast::TypeKind;

namespace {

constexpr int kMaxPackedBits = 65536;
constexpr int kMaxVariableBits = 262144;

}  // namespace

const Type* Elaborator::bits_type(int width, bool is_signed) {
  design_.types.push_back({});
  Type& bit = design_.types.back();
  bit.is_signed = is_signed;
  if (width == 1) return &bit;
  bit.is_signed = false;
  const Type* element = &bit;
  design_.types.push_back({});
  Type& out = design_.types.back();
  out.kind = Type::Kind::kPacked;
  out.width = width;
  out.is_signed = is_signed;
  out.left = width - 1;
  out.element = element;
  return &out;
}

const Type* Elaborator::apply_packed(const Type* base, const std::vector<ast::Dimension>& dims, Scope* scope,
                                     Span span, bool is_signed) {
  const Type* out = base;
  for (size_t i = dims.size(); i-- > 0;) {
    if (!dims[i].left || !dims[i].right) fail(span, "a packed dimension needs [left:right]");
    const int64_t left = constant(*dims[i].left, scope, "a range"), right = constant(*dims[i].right, scope, "a range");
    const int64_t count = (left > right ? left - right : right - left) + 1;
    if (left > INT32_MAX || left < INT32_MIN || right > INT32_MAX || right < INT32_MIN ||
        count * out->width > kMaxPackedBits) {
      fail(span, fmt::format("a vector of {} bits; the limit is {}", count * out->width, kMaxPackedBits));
    }
    design_.types.push_back({});
    Type& array = design_.types.back();
    array.kind = Type::Kind::kPacked;
    array.left = static_cast<int>(left);
    array.right = static_cast<int>(right);
    array.element = out;
    array.width = static_cast<int>(count) * out->width;
    array.is_signed = i == 0 && is_signed;
    out = &array;
  }
  return out;
}

const Type* Elaborator::apply_unpacked(const Type* base, const std::vector<ast::Dimension>& dims, Scope* scope,
                                       Span span) {
  const Type* out = base;
  for (size_t i = dims.size(); i-- > 0;) {
    if (!dims[i].left) unsupported(span, "dynamic array");
    int64_t left = constant(*dims[i].left, scope, "a range"), right = 0;
    if (dims[i].right) {
      right = constant(*dims[i].right, scope, "a range");
    } else {
      if (left < 1) fail(span, "an array needs at least one element");
      right = left - 1;
      left = 0;
    }
    const int64_t count = (left > right ? left - right : right - left) + 1;
    if (count > kMaxVariableBits || count * out->width > kMaxVariableBits || left < INT32_MIN || left > INT32_MAX) {
      fail(span, fmt::format("an array of {} x {} bits; the limit is {} bits", count, out->width, kMaxVariableBits));
    }
    design_.types.push_back({});
    Type& array = design_.types.back();
    array.kind = Type::Kind::kUnpacked;
    array.is_unpacked = true;
    array.left = static_cast<int>(left);
    array.right = static_cast<int>(right);
    array.element = out;
    array.width = static_cast<int>(count) * out->width;
    out = &array;
  }
  return out;
}

const Type* Elaborator::resolve_type(const ast::DataType& type, Scope* scope) {
  if (design_.types.size() > 2000000) fail(type.span, "too many types");
  const auto vector = [&](int width, bool signed_by_default) {
    const bool is_signed = type.has_sign ? type.is_signed : signed_by_default;
    const Type* base = bits_type(width, is_signed && type.dims.empty());
    return apply_packed(base, type.dims, scope, type.span, is_signed);
  };
  switch (type.kind) {
    case TypeKind::kImplicit:
    case TypeKind::kLogic:
    case TypeKind::kReg:
    case TypeKind::kBit: return vector(1, false);
    case TypeKind::kByte: return vector(8, true);
    case TypeKind::kShortInt: return vector(16, true);
    case TypeKind::kInt:
    case TypeKind::kInteger:
    case TypeKind::kGenvar: return vector(32, true);
    case TypeKind::kLongInt: return vector(64, true);
    case TypeKind::kTime: return vector(64, false);
    case TypeKind::kEnum: {
      ast::DataType int_type;
      int_type.kind = TypeKind::kInt;
      const Type* base = resolve_type(type.base ? *type.base : int_type, scope);
      Word next = constant_word(0, base->width);
      for (const ast::EnumMember& member : type.members) {
        if (member.value) {
          Frame frame;
          frame.scope = scope;
          next = evaluate_as(*member.value, base, frame);
          if (!is_constant(next)) fail(member.span, fmt::format("the value of '{}' is not constant", member.name));
        }
        Symbol symbol;
        symbol.kind = Symbol::Kind::kParameter;
        symbol.value = next;
        symbol.type = base;
        if (Symbol* old = find(scope, member.name); !old || old->kind != Symbol::Kind::kParameter || old->value != next) {
          declare(scope, member.name, std::move(symbol), member.span);
        }
        next = add(aig_, next, constant_word(1, base->width));
      }
      return apply_packed(base, type.dims, scope, type.span, false);
    }
    case TypeKind::kStruct:
    case TypeKind::kUnion: {
      Type out;
      out.kind = type.kind == TypeKind::kStruct ? Type::Kind::kStruct : Type::Kind::kUnion;
      out.is_unpacked = !type.packed;
      out.is_signed = type.is_signed;
      if (!type.packed && type.kind == TypeKind::kUnion) unsupported(type.span, "unpacked union");
      int64_t width = 0;
      for (const ast::StructField& field : type.fields) {
        const Type* field_type = resolve_type(field.type, scope);
        for (const ast::Declarator& name : field.names) {
          const Type* whole = apply_unpacked(field_type, name.dims, scope, name.span);
          if (type.packed && whole->is_unpacked) fail(name.span, "unpacked member of a packed struct");
          out.fields.push_back({name.name, whole, 0});
          if (out.kind == Type::Kind::kUnion) {
            if (width && width != whole->width) fail(name.span, "members of a packed union have one width");
            width = whole->width;
          } else {
            width += whole->width;
          }
          if (width > kMaxPackedBits) fail(type.span, "struct wider than 65536 bits");
        }
      }
      if (out.fields.empty()) fail(type.span, "struct without members");
      out.width = static_cast<int>(width);
      if (out.kind == Type::Kind::kStruct) {
        int offset = out.width;
        for (Type::Field& field : out.fields) field.offset = offset -= field.type->width;
      }
      design_.types.push_back(std::move(out));
      const Type* base = &design_.types.back();
      if (base->is_unpacked && !type.dims.empty()) fail(type.span, "packed dimensions of an unpacked struct");
      return apply_packed(base, type.dims, scope, type.span, false);
    }
    case TypeKind::kNamed: {
      ast::Expr name = ast::make_name(type.name);
      name.span = type.span;
      if (type.name.find('.') != std::string::npos) unsupported(type.span, "interface type");
      Frame frame;
      frame.scope = scope;
      Symbol* symbol = resolve(name, frame);
      if (!symbol) fail(type.span, fmt::format("unknown type '{}'", type.name));
      if (symbol->kind != Symbol::Kind::kType) fail(type.span, fmt::format("'{}' is not a type", type.name));
      return apply_packed(symbol->type, type.dims, scope, type.span, false);
    }
    case TypeKind::kVoid: case TypeKind::kString: case TypeKind::kReal: case TypeKind::kEvent:
    case TypeKind::kTypeParameter: {
      Type out;
      out.kind = type.kind == TypeKind::kVoid     ? Type::Kind::kVoid
                 : type.kind == TypeKind::kString ? Type::Kind::kString
                 : type.kind == TypeKind::kEvent  ? Type::Kind::kEvent
                                                  : Type::Kind::kReal;
      out.width = 0;
      design_.types.push_back(std::move(out));
      return &design_.types.back();
    }
  }
  fail(type.span, "unknown type");
}

std::optional<std::pair<int, const Type*>> Elaborator::field_of(const Type* type, const std::string& name) const {
  if (!type) return std::nullopt;
  for (const Type::Field& field : type->fields) {
    if (field.name == name) return std::pair{field.offset, field.type};
  }
  return std::nullopt;
}

}  // namespace callie::assertions
